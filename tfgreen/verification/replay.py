"""Golden vectors replayed: does this machine compute what the exporting machine computed?

The reference kernels, TensorFlow Lite Micro and the NumPy interpreter have to give the same
integers, and the same floats to within a quantum (1e-5 of their range): mathematical libraries
round otherwise. XNNPACK and the
optimised kernels choose their instructions by processor: they have to stay within the profile's
limits for the runtime, and keep its SQNR where there is no class to compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import ExportProfile, Limits
from tfgreen.runtimes import Task, availability, dequantize, run_tasks
from tfgreen.verification.certificate import (
    Certificate,
    Check,
    CheckStatus,
    GateResult,
    verdict_of,
)
from tfgreen.verification.labels import quanta
from tfgreen.verification.metrics import classes, is_classification
from tfgreen.verification.oracle import ORACLE, rounding_of
from tfgreen.verification.quanta import finite_range, float_quantum, quantum_of
from tfgreen.verification.shipped import Shipped
from tfgreen.verification.sqnr import is_noisy, output_sqnr_db
from tfgreen.wording import share_text

BIT_EXACT_KERNEL_SETS = frozenset({"reference", "micro", ORACLE})

Answers = Sequence[np.ndarray]
"""One array per graph output, (vectors, *tensor shape) in the file's dtype."""


def with_replay(
    certificate: Certificate,
    content: bytes,
    file_inputs: Sequence[np.ndarray],
    expected: Mapping[str, Answers],
    profile: ExportProfile,
) -> Certificate:
    """The certificate with one more check a kernel set in its runtime gate.

    `file_inputs` holds one array for each graph input, (vectors, *tensor shape) in the file's
    dtype; `expected` the answers of each kernel set on the exporting machine.
    """
    shipped = Shipped.of(content)
    checks = [
        _replay_one(shipped, file_inputs, kernel_set, answers, profile)
        for kernel_set, answers in expected.items()
    ]
    runtime = certificate.gate("runtime")
    gates = (*certificate.gates[:3], GateResult.of("runtime", (*runtime.checks, *checks)))
    fields = certificate.model_dump() | {"gates": gates, "verdict": verdict_of(gates)}
    return Certificate.model_validate(fields)


def _replay_one(
    shipped: Shipped,
    file_inputs: Sequence[np.ndarray],
    kernel_set: str,
    expected: Answers,
    profile: ExportProfile,
) -> Check:
    limits = profile.limits
    installed = availability(kernel_set)
    if not installed.available:
        text = f"The golden vectors are not replayed on {kernel_set}: {installed.reason}"
        return _check(kernel_set, "skipped", text)
    model = shipped.plain
    task = Task(
        "the golden vectors",
        shipped.content_for(kernel_set),
        tuple(file_inputs),
        rounding=rounding_of(profile.kernel_sets.truth),
    )
    outcome = run_tasks(kernel_set, [task])[0]
    if outcome.status != "ok":
        return _check(kernel_set, "failed", f"The golden vectors do not run: {outcome.message}")
    steps = np.stack([_steps(model, i, outcome.outputs[i], a) for i, a in enumerate(expected)])
    if kernel_set in BIT_EXACT_KERNEL_SETS:
        return _exact(kernel_set, steps)
    changes = _class_changes(model, outcome.outputs, expected)
    noisy = _noisy_sqnr_db(model, outcome.outputs, expected, steps, limits)
    return _within_limits(kernel_set, steps, changes, noisy, limits)


def _steps(model: TfliteModel, position: int, given: np.ndarray, golden: np.ndarray) -> np.ndarray:
    """How far each golden vector lies from what it was, in quanta; infinity for NaN."""
    quantum = quantum_of(model, model.outputs[position]) or float_quantum(*finite_range(golden))
    with np.errstate(invalid="ignore"):
        steps = np.abs(given.astype(np.float64) - golden.astype(np.float64)) / quantum
    steps[(given == golden) | (np.isnan(given) & np.isnan(golden))] = 0.0
    steps[np.isnan(steps)] = np.inf
    return np.asarray(steps.reshape(len(steps), -1).max(axis=1, initial=0.0))


def _class_changes(model: TfliteModel, given: Answers, golden: Answers) -> float | None:
    """Largest share of golden vectors whose class changed; None where nothing is classified."""
    shares = []
    for position, pair in enumerate(zip(given, golden, strict=True)):
        if is_classification(model, position, None):
            quantization = model.tensors[model.outputs[position]].quantization
            one, other = (classes(dequantize(array, quantization)) for array in pair)
            changed = np.not_equal(one, other).reshape(len(one), -1).any(axis=1)
            shares.append(float(np.mean(changed)))
    return max(shares, default=None)


def _noisy_sqnr_db(
    model: TfliteModel, given: Answers, golden: Answers, steps: np.ndarray, limits: Limits
) -> float | None:
    """Lowest SQNR of the outputs without classes that strayed too far; None if none did."""
    noisy = []
    for position, pair in enumerate(zip(golden, given, strict=True)):
        if not is_classification(model, position, None):
            sqnr_db = output_sqnr_db(model, position, *pair)
            if sqnr_db is not None and is_noisy(sqnr_db, float(steps[position].max()), limits):
                noisy.append(sqnr_db)
    return min(noisy, default=None)


def _exact(kernel_set: str, steps: np.ndarray) -> Check:
    """Float results may differ by a quantum, 1e-5 of their range: libraries round otherwise."""
    differing = (steps >= 1.0).any(axis=0)
    share = float(np.mean(differing))
    message = (
        f"{int(differing.sum())} of {steps.shape[1]} golden vectors differ on {kernel_set} "
        "(none may: these kernels are deterministic)."
    )
    facts = {"measured": share, "limit": 0.0, "unit": "share of samples"}
    return _check(kernel_set, "failed" if share else "passed", message, **facts)


def _within_limits(
    kernel_set: str,
    steps: np.ndarray,
    class_changes: float | None,
    noisy_sqnr_db: float | None,
    limits: Limits,
) -> Check:
    differing, largest = int((steps >= 1.0).any(axis=0).sum()), float(steps.max())
    text = f"{differing} of {steps.shape[1]} golden vectors differ on {kernel_set}"
    too_far = not np.isfinite(largest)
    facts: dict[str, Any] = {"limit": limits.runtime_quanta, "unit": "quanta"}
    if too_far:
        text += ", some are not finite any more"
    else:
        facts["measured"] = largest
        text += f", by at most {quanta(largest)}"
    if limits.runtime_quanta is not None:
        too_far |= largest > limits.runtime_quanta
        text += f" (limit {limits.runtime_quanta})"
    if class_changes is not None:
        limit = limits.runtime_argmax_share
        too_far |= class_changes > limit
        text += f"; the class changes for {share_text(class_changes)} (limit {share_text(limit)})"
        facts = {"measured": class_changes, "limit": limit, "unit": "share of samples"}
    if noisy_sqnr_db is not None:
        too_far = True
        text += f"; the SQNR is {noisy_sqnr_db:.1f} dB (at least {limits.sqnr_db:g})"
        facts = {"measured": noisy_sqnr_db, "limit": limits.sqnr_db, "unit": "dB"}
    return _check(kernel_set, "failed" if too_far else "passed", f"{text}.", **facts)


def _check(kernel_set: str, status: CheckStatus, message: str, **facts: Any) -> Check:
    return Check(
        gate="runtime",
        name="golden-vectors",
        status=status,
        message=message,
        kernel_set=kernel_set,
        **facts,
    )
