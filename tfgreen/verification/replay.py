"""Golden vectors replayed: does this machine compute what the exporting machine computed?

The reference kernels and TensorFlow Lite Micro have to agree to the bit. XNNPACK and the
optimised kernels choose their instructions by processor: they have to stay within the profile's
limits for the runtime.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tfgreen.profile import ExportProfile
from tfgreen.runtimes import Task, availability, run_tasks
from tfgreen.verification.certificate import Certificate, Check, GateResult, verdict_of

BIT_EXACT_KERNEL_SETS = frozenset({"reference", "micro"})
_FLOAT_TOLERANCE = 1e-5


def with_replay(
    certificate: Certificate,
    content: bytes,
    file_inputs: Sequence[np.ndarray],
    expected: Mapping[str, Sequence[np.ndarray]],
    profile: ExportProfile,
) -> Certificate:
    """The certificate with one more check a kernel set in its runtime gate.

    `file_inputs` holds one array for each graph input, (n, *tensor shape) in the file's dtype;
    `expected` the outputs of each kernel set on the exporting machine.
    """
    checks = [
        _replay_one(content, file_inputs, kernel_set, outputs, profile)
        for kernel_set, outputs in expected.items()
    ]
    runtime = certificate.gate("runtime")
    gates = (*certificate.gates[:3], GateResult.of("runtime", (*runtime.checks, *checks)))
    fields = certificate.model_dump() | {"gates": gates, "verdict": verdict_of(gates)}
    return Certificate.model_validate(fields)


def _replay_one(
    content: bytes,
    file_inputs: Sequence[np.ndarray],
    kernel_set: str,
    expected: Sequence[np.ndarray],
    profile: ExportProfile,
) -> Check:
    installed = availability(kernel_set)
    if not installed.available:
        return _check(
            kernel_set,
            "skipped",
            f"Golden vectors not replayed on {kernel_set}: {installed.reason}",
        )
    outcome = run_tasks(kernel_set, [Task("golden vectors", content, tuple(file_inputs))])[0]
    if outcome.status != "ok":
        return _check(kernel_set, "failed", f"Golden vectors on {kernel_set}: {outcome.message}")
    count = len(file_inputs[0])
    if kernel_set in BIT_EXACT_KERNEL_SETS:
        return _exact(kernel_set, outcome.outputs, expected, count)
    return _within_limits(kernel_set, outcome.outputs, expected, profile)


def _exact(
    kernel_set: str, given: Sequence[np.ndarray], expected: Sequence[np.ndarray], count: int
) -> Check:
    differing = np.zeros(count, bool)
    for one, other in zip(given, expected, strict=True):
        differing |= _differs(one, other).reshape(count, -1).any(axis=1)
    share = float(differing.mean())
    message = (
        f"{int(differing.sum())} of {count} golden vectors differ on {kernel_set} "
        "(none may: these kernels are deterministic)."
    )
    return _check(kernel_set, "failed" if share else "passed", message, share, 0.0)


def _differs(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    if np.issubdtype(one.dtype, np.floating):
        span = float(np.ptp(other)) or 1.0
        return np.asarray(~(np.abs(one - other) <= _FLOAT_TOLERANCE * span))
    return np.asarray(one != other)


def _within_limits(
    kernel_set: str,
    given: Sequence[np.ndarray],
    expected: Sequence[np.ndarray],
    profile: ExportProfile,
) -> Check:
    limit = profile.limits.runtime_argmax_share
    share = max(_argmax_changes(one, other) for one, other in zip(given, expected, strict=True))
    step = max(_steps(given, expected), default=0.0)
    too_far = profile.limits.runtime_quanta is not None and step > profile.limits.runtime_quanta
    message = (
        f"{share:.1%} of the golden vectors change their largest output on {kernel_set} "
        f"(limit {limit:.1%}); largest step {step:g}."
    )
    return _check(
        kernel_set, "failed" if share > limit or too_far else "passed", message, share, limit
    )


def _argmax_changes(one: np.ndarray, other: np.ndarray) -> float:
    if one.shape[-1] < 2:
        return 0.0
    return float(np.mean(one.argmax(axis=-1) != other.argmax(axis=-1)))


def _steps(given: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> Iterator[float]:
    for one, other in zip(given, expected, strict=True):
        yield float(np.abs(one.astype(np.float64) - other.astype(np.float64)).max())


def _check(
    kernel_set: str,
    status: str,
    message: str,
    measured: float | None = None,
    limit: float | None = None,
) -> Check:
    return Check.model_validate(
        {
            "gate": "runtime",
            "name": "golden-vectors",
            "status": status,
            "message": message,
            "measured": measured,
            "limit": limit,
            "unit": "share of samples",
            "kernel_set": kernel_set,
        }
    )
