"""Judging an exported decoder: it runs in children, one for each kernel set."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tfgreen.errors import ConversionError, KernelSetError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.generative import structure
from tfgreen.generative.certificate import (
    KernelSetAnswers,
    PerplexityFacts,
    SequenceCertificate,
)
from tfgreen.generative.perplexity import PerplexityChange, perplexity_change
from tfgreen.generative.requests import ANSWERS, COMPARED_WINDOWS, EVALUATION, GIVEN, TEXTS
from tfgreen.generative.schemes import Scheme
from tfgreen.generative.session import KERNEL_SETS
from tfgreen.manifest import sha256
from tfgreen.stack import stack_versions
from tfgreen.tflite.conversion import exchange_folder, run_worker
from tfgreen.tflite.worker import REQUEST
from tfgreen.verification.certificate import Check, CheckStatus, Gate, GateResult, verdict_of

OnProgress = Callable[[str, int, int], None]

TRUTH = "xnnpack"
_TIME_LIMIT_SECONDS = 1800.0
_KNOWN_BAD = {("reference", "int4-block32"): "computes 4-bit weights with block scales wrongly"}
_NOISE = 1e-3
_LARGEST_STEP = 0.05
_WORST_LOSS, _LARGEST_LOSS = 50.0, 500.0
_FLOAT_SCHEMES = ("float32", "float16")

PERPLEXITY_LIMITS: Mapping[str, float] = {
    "float32": 1e-4,
    "float16": 1e-3,
    "dynamic-int8": 5e-3,
    "weights-int8": 5e-3,
    "mixed-int4-int8": 0.02,
    "int4": 0.03,
    "int4-block32": 0.03,
}
"""By how much the perplexity may rise, as a share, scheme by scheme; float files may not fall by
more, either."""


@dataclass(frozen=True)
class FloatAnswers:
    """What the float model said about the evaluation windows.

    losses: (n, context), nats. greedy: (runs, context) of the float file. parameters: weights.
    differing_greedy_tokens: places of `greedy` where the Keras model goes on otherwise.
    """

    losses: np.ndarray
    greedy: np.ndarray
    parameters: int
    differing_greedy_tokens: int


def certify(
    content: bytes,
    scheme: Scheme,
    windows: np.ndarray,
    model: FloatAnswers,
    on_progress: OnProgress | None = None,
) -> SequenceCertificate:
    """Judge a file on windows (n, context + 1) of evaluation tokens; every check is made."""
    answers = {name: _ask(content, name, windows, on_progress) for name in (TRUTH, *_others())}
    truth = answers[TRUTH]
    if isinstance(truth, str):
        raise KernelSetError(f"The file does not run on the {TRUTH} kernels: {truth}")
    change = perplexity_change(_readable(model.losses), _readable(truth["losses"]))
    gates = (
        GateResult.of("structure", structure.checks(content, scheme, model.parameters)),
        GateResult.of("kernels", _kernel_checks(scheme, answers)),
        GateResult.of("fidelity", _fidelity_checks(scheme, truth, change, len(windows))),
        GateResult.of("runtime", _runtime_checks(scheme, truth, model)),
    )
    return SequenceCertificate(
        verdict=verdict_of(gates),
        scheme=scheme,
        model_sha256=sha256(content),
        file_bytes=len(content),
        perplexity=PerplexityFacts(**asdict(change), windows=len(windows)),
        kernel_sets={name: _facts(name, told, truth) for name, told in answers.items()},
        gates=gates,
        created_with=stack_versions(),
    )


def _others() -> list[str]:
    return [name for name in KERNEL_SETS if name != TRUTH]


def _ask(
    content: bytes, kernel_set: str, windows: np.ndarray, on_progress: OnProgress | None
) -> dict[str, np.ndarray] | str:
    """The arrays of `judging.answers_of` from a child, or why there are none."""
    if kernel_set != TRUTH:
        windows = windows[:COMPARED_WINDOWS]
    logits = TfliteModel.from_bytes(content).root.subgraphs
    vocabulary = max(int(graph.tensors[i].shape[-1]) for graph in logits for i in graph.outputs)
    request = {
        "job": "judge",
        "kernel_set": kernel_set,
        "vocabulary": vocabulary,
        "model_name": f"the decoder on the {kernel_set} kernels",
        "memory_limit_bytes": None,
    }
    with exchange_folder() as folder:
        (folder / REQUEST).write_text(json.dumps(request), encoding="utf-8")
        (folder / GIVEN).write_bytes(content)
        np.savez(folder / TEXTS, **{EVALUATION: windows})  # type: ignore[arg-type]
        try:
            module = "tfgreen.generative.worker"
            run_worker(module, folder, request, _TIME_LIMIT_SECONDS, on_progress)
        except (ConversionError, KernelSetError) as error:
            return str(error)
        with np.load(folder / ANSWERS, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}


def _facts(
    name: str, told: dict[str, np.ndarray] | str, truth: dict[str, np.ndarray]
) -> KernelSetAnswers:
    role: Any = "truth" if name == TRUTH else "compared"
    if isinstance(told, str):
        return KernelSetAnswers(role=role, perplexity=None, message=told)
    steps = _steps(told, truth)
    return KernelSetAnswers(
        role=role,
        perplexity=_perplexity(told),
        largest_steps=tuple(float(f"{step:.4g}") for step in steps) if name != TRUTH else (),
        differing_greedy_tokens=int(told["others"].sum()),
    )


def _readable(losses: np.ndarray) -> np.ndarray:
    """Losses whose perplexity is a number.

    A file that answers NaN has none, and one of broken weights has more than fits a float: their
    checks tell, and the certificate can be written.
    """
    return np.asarray(np.minimum(np.nan_to_num(losses, nan=_WORST_LOSS), _LARGEST_LOSS))


def _perplexity(told: Mapping[str, np.ndarray]) -> float | None:
    losses = told["losses"][:COMPARED_WINDOWS]
    return float(np.exp(_readable(losses).mean())) if np.isfinite(losses).all() else None


def _steps(told: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> np.ndarray:
    """Largest difference of a score at each position, over the windows that both ran."""
    pairs = zip(told["logits"], truth["logits"], strict=False)
    with np.errstate(invalid="ignore", over="ignore"):
        steps = np.max([np.abs(a - b).max(axis=-1) for a, b in pairs], axis=0)
    return np.nan_to_num(steps, nan=1e30, posinf=1e30)


def _check(gate: Gate, name: str, is_fine: bool, message: str, **facts: Any) -> Check:
    status: CheckStatus = "passed" if is_fine else "failed"
    return Check(gate=gate, name=name, status=facts.pop("status", status), message=message, **facts)


def _kernel_checks(scheme: Scheme, answers: Mapping[str, Any]) -> list[Check]:
    truth, found = answers[TRUTH], []
    limit = 2 * PERPLEXITY_LIMITS[scheme]
    scale = float(np.abs(truth["logits"]).max())
    for name in _others():
        told, known = answers[name], _KNOWN_BAD.get((name, scheme))
        if isinstance(told, str):
            message = f"The {name} kernels did not run the file: {told}"
            found.append(
                _check("kernels", "text", False, message, kernel_set=name, status="warning")
            )
            continue
        steps = _steps(told, truth)
        place = int(steps.argmax())
        each = _readable(told["losses"]) - _readable(truth["losses"][: len(told["losses"])])
        change = float(np.expm1(each.mean()))
        message = (
            f"On the {name} kernels scores differ from the {TRUTH} kernels' by at most "
            f"{steps[place]:.3g} of {scale:.3g}, at position {place}, and perplexity by "
            f"{change:+.3%}."
        )
        is_fine = abs(change) <= limit
        status = "warning" if known and not is_fine else None
        message += f" This kernel set {known}." if status else ""
        found.append(
            _check(
                "kernels", "text", is_fine, message, measured=change, limit=limit,
                unit="share of the perplexity", kernel_set=name,
                **({"status": status} if status else {}),
            )
        )  # fmt: skip
    return found


def _fidelity_checks(
    scheme: Scheme, truth: Mapping[str, np.ndarray], change: PerplexityChange, windows: int
) -> list[Check]:
    is_finite = bool(np.isfinite(truth["losses"]).all() and np.isfinite(truth["logits"]).all())
    limit = PERPLEXITY_LIMITS[scheme]
    # Rounded weights may happen to suit a text better; a float file that does is another model.
    moved = abs(change.change) if scheme in _FLOAT_SCHEMES else change.change
    tokens = windows * truth["losses"].shape[1]
    return [
        _check(
            "fidelity", "finite", is_finite,
            "All scores are numbers." if is_finite else "Scores are not finite (NaN or infinite).",
        ),
        _check(
            "fidelity", "perplexity", is_finite and moved <= limit,
            f"Perplexity {change.file:.4f} on {tokens:,} tokens where the float model has "
            f"{change.float_model:.4f}: {change.change:+.2%} "
            f"[{change.low:+.2%}, {change.high:+.2%}], at most {limit:+.2%}.",
            measured=change.change, limit=limit, unit="share of the perplexity",
        ),
    ]  # fmt: skip


def _runtime_checks(
    scheme: Scheme, truth: Mapping[str, np.ndarray], model: FloatAnswers
) -> list[Check]:
    others, steps = truth["others"], truth["steps"]
    tokens = int(truth["greedy"].size - len(truth["greedy"]) * truth["prompt"])
    scale = float(np.abs(truth["logits"]).max()) or 1.0
    differing = int(others.sum())
    # Two equal scores may be told apart by the last bit of a sum: that is no fault of the cache.
    is_same = differing == 0 or bool(steps.max() <= _NOISE * scale)
    # Scores that are far off and choose the same token choose another once tokens are drawn.
    is_fine = is_same and bool(steps.max() <= _LARGEST_STEP * scale)
    found = [
        _check(
            "runtime", "cached", is_fine,
            f"Of {tokens:,} greedy tokens with the cache {differing} would be others without it; "
            f"scores differ by at most {steps.max():.3g} of {scale:.3g}.",
            measured=differing, limit=0, unit="tokens", kernel_set=TRUTH,
        ),
        _prefill_check(truth["prefills"], scale),
    ]  # fmt: skip
    if scheme == "float32":
        same = model.differing_greedy_tokens == 0 and np.array_equal(truth["greedy"], model.greedy)
        found.append(
            _check(
                "runtime", "as-the-model", same,
                f"The Keras model would write {model.differing_greedy_tokens} of the greedy "
                "tokens otherwise.",
                measured=model.differing_greedy_tokens, limit=0, unit="tokens", kernel_set=TRUTH,
            )
        )  # fmt: skip
    return found


def _prefill_check(prefills: np.ndarray, scale: float) -> Check:
    is_fine = bool(prefills.max() <= _LARGEST_STEP * scale)
    return _check(
        "runtime", "prefill", is_fine,
        "After every prefill signature and the longest prompt scores differ from those without the "
        f"cache by at most {prefills.max():.3g} of {scale:.3g}.",
        measured=float(np.nan_to_num(prefills.max() / scale, nan=1e30, posinf=1e30)),
        limit=_LARGEST_STEP, unit="share of the largest score", kernel_set=TRUTH,
    )  # fmt: skip
