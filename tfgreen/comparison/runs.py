"""A file on every kernel set there is: which load it, and which compute it rightly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tfgreen.comparison.record import RuntimeVerdict
from tfgreen.data import Samples
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import Limits
from tfgreen.runtimes import (
    KERNEL_SETS,
    Outcome,
    Task,
    availability,
    quantize_inputs,
)
from tfgreen.verification.certificate import Certificate
from tfgreen.verification.execution import Executor, OnProgress
from tfgreen.verification.lineup import Lineup
from tfgreen.verification.metrics import is_classification
from tfgreen.verification.oracle import rounding_of
from tfgreen.verification.runtime import EndToEnd, judge_runtime

_BAD_OPS = ("beyond-limit", "known-bad")


@dataclass(frozen=True)
class EverySet:
    """What became of one file.

    verdicts: In the order of `KERNEL_SETS`. arena_bytes: TFLM's, None where it does not load.
    sample_seconds: How long the truth took for a sample, loading shared among them; None where it
        does not run the file.
    """

    verdicts: tuple[RuntimeVerdict, ...]
    arena_bytes: int | None
    sample_seconds: float | None


def run_everywhere(
    model: TfliteModel,
    samples: Samples,
    truth: str,
    limits: Limits,
    certificate: Certificate | None,
    on_progress: OnProgress | None = None,
) -> EverySet:
    """Run a file on every kernel set that is installed and hold them against the truth.

    Args:
        truth: The kernel set that the others are held against; it must be installed.
        limits: Those of the profile's runtime gate.
        certificate: What it found out about single ops counts too.
    """
    inputs = quantize_inputs(model, samples)
    installed = [name for name in KERNEL_SETS if availability(name).available]
    rounding = rounding_of(truth)
    work = {name: [Task("file", model.content, inputs, rounding=rounding)] for name in installed}
    found = Executor(on_progress).run("running on every kernel set", work)
    outcomes = {name: outcome for name, (outcome,) in found.items()}
    verdicts = _verdicts(model, outcomes, truth, limits, certificate)
    micro = outcomes.get("micro")
    return EverySet(
        tuple(verdicts),
        micro.arena_bytes if micro and micro.ok else None,
        outcomes[truth].seconds / len(samples) if outcomes[truth].ok else None,
    )


def _verdicts(
    model: TfliteModel,
    outcomes: Mapping[str, Outcome],
    truth: str,
    limits: Limits,
    certificate: Certificate | None,
) -> Iterator[RuntimeVerdict]:
    ran = {name: outcome.outputs for name, outcome in outcomes.items() if outcome.ok}
    wrong = _wrong_ops(certificate)
    if truth in ran:
        wrong = {**_wrong_answers(model, ran, truth, limits), **wrong}
    for name in KERNEL_SETS:
        if name not in outcomes:
            yield _verdict(name, "missing", availability(name).reason)
        elif name not in ran:
            yield _verdict(name, "does-not-run", outcomes[name].message)
        elif name in wrong:
            yield _verdict(name, "wrong", wrong[name])
        elif truth not in ran:
            text = f"{truth}, the truth, does not run the file: there is nothing to compare with."
            yield _verdict(name, "not-judged", text)
        else:
            yield _verdict(name, "right", "")


def _wrong_answers(
    model: TfliteModel,
    outputs: Mapping[str, tuple[np.ndarray, ...]],
    truth: str,
    limits: Limits,
) -> dict[str, str]:
    """Kernel sets whose answers are too far from the truth's, as the runtime gate has it."""
    others = tuple(name for name in outputs if name != truth)
    positions = range(len(model.outputs))
    classifying = frozenset(p for p in positions if is_classification(model, p, None))
    runs = EndToEnd(outputs, {}, 1, classifying, is_made_up=False)
    gate = judge_runtime(model, Lineup(truth, truth, others, {}), limits, runs)
    return {
        check.kernel_set: check.message
        for check in gate.checks
        if check.status == "failed" and check.kernel_set
    }


def _wrong_ops(certificate: Certificate | None) -> dict[str, str]:
    """The first op of each kernel set that the certificate found wrong."""
    found: dict[str, str] = {}
    for result in certificate.kernels if certificate else ():
        if result.status in _BAD_OPS:
            text = result.message or f"{result.op} differs from the truth."
            found.setdefault(result.kernel_set, text)
    return found


def _verdict(kernel_set: str, status: str, message: str) -> RuntimeVerdict:
    return RuntimeVerdict.model_validate(
        {"kernel_set": kernel_set, "status": status, "message": message}
    )
