"""The runtime gate: the whole file, end to end, on every kernel set against the truth.

Rounding differences of single ops grow with depth and in a softmax, so that results here may lie
many quanta apart although every kernel is sound. What counts is how many answers change, and
where there is no class to answer, how much of the truth's signal is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import Limits
from tfgreen.verification.certificate import Check, CheckStatus, GateResult, RuntimeResult
from tfgreen.verification.execution import FEWER_SAMPLES
from tfgreen.verification.labels import counted, quanta
from tfgreen.verification.lineup import Lineup
from tfgreen.verification.metrics import classes, per_sample
from tfgreen.verification.oracle import ORACLE, REPLACED
from tfgreen.verification.quanta import finite_range, float_quantum, quantum_of
from tfgreen.verification.sqnr import is_noisy, output_sqnr_db
from tfgreen.wording import share_text

Outputs = Mapping[str, Sequence[np.ndarray]]
"""Kernel set to one array per graph output, (calls, *tensor shape)."""


@dataclass(frozen=True)
class EndToEnd:
    """The whole file's runs.

    Attributes:
        outputs: Of each kernel set that ran. Slow ones have run fewer calls, the first ones.
        problems: Status and message of each that did not.
        batch: Samples in a call.
        classifying: Positions of the outputs that hold one score per class.
        is_made_up: Whether the inputs came from a seed: then no limit fails.
        stand_in: Why the NumPy interpreter ran the file in place of the reference kernels, if so.
    """

    outputs: Outputs
    problems: Mapping[str, tuple[str, str]]
    batch: int
    classifying: frozenset[int]
    is_made_up: bool
    stand_in: str = ""


def compare_runs(model: TfliteModel, lineup: Lineup, runs: EndToEnd) -> tuple[RuntimeResult, ...]:
    """Every kernel set but the truth, for every output."""
    truth = runs.outputs.get(lineup.truth)
    if truth is None:
        return ()
    return tuple(
        _compare(model, runs, position, name, (truth[position], runs.outputs[name][position]))
        for name in lineup.compared
        if name in runs.outputs
        for position in range(len(model.outputs))
    )


def judge_runtime(model: TfliteModel, lineup: Lineup, limits: Limits, runs: EndToEnd) -> GateResult:
    """The truth must run the file; the others may not change too many of its answers."""
    checks = [*lineup.checks("runtime"), *_who_ran(lineup, runs)]
    for result in compare_runs(model, lineup, runs):
        checks.append(_judge(result, limits, runs, len(model.outputs) > 1))
    return GateResult.of("runtime", checks)


def _compare(
    model: TfliteModel,
    runs: EndToEnd,
    position: int,
    name: str,
    pair: tuple[np.ndarray, np.ndarray],
) -> RuntimeResult:
    calls = min(map(len, pair))
    truth, other = (per_sample(array[:calls], runs.batch) for array in pair)
    with np.errstate(invalid="ignore"):
        steps = np.abs(truth.astype(np.float64) - other.astype(np.float64))
    steps = np.where((truth == other) | (np.isnan(truth) & np.isnan(other)), 0.0, steps)
    quantum = quantum_of(model, model.outputs[position])
    steps = steps.reshape(len(steps), -1) / (quantum or float_quantum(*finite_range(truth)))
    largest = float(steps.max(initial=0.0)) if np.isfinite(steps).all() else None
    argmax_share = sqnr_db = None
    if position in runs.classifying:
        zero = _decision_value(model, position)
        changed = classes(truth, zero) != classes(other, zero)
        argmax_share = float(np.mean(changed.reshape(len(changed), -1).any(axis=1)))
    else:
        sqnr_db = output_sqnr_db(model, position, truth, other)
    return RuntimeResult(
        kernel_set=name,
        output=model.output_names[position],
        samples=len(truth),
        differing_share=float(np.mean((steps > (0.5 if quantum else 1.0)).any(axis=1))),
        max_quanta=largest,
        argmax_share=argmax_share,
        sqnr_db=sqnr_db,
    )


def _decision_value(model: TfliteModel, position: int) -> float:
    """The stored value that stands for a score of one half, for outputs of a single score."""
    quantization = model.tensors[model.outputs[position]].quantization
    if quantization is None:
        return 0.5
    return float(0.5 / quantization.scales[0] + quantization.zero_points[0])


def _who_ran(lineup: Lineup, runs: EndToEnd) -> Iterator[Check]:
    if runs.stand_in and REPLACED in lineup.runs:
        text = f"'{ORACLE}' stands in for '{REPLACED}' with the same rounding: {runs.stand_in}"
        yield _check("stand-in", "warning", text, kernel_set=REPLACED)
    for name in lineup.runs:
        is_truth = name == lineup.truth
        if name in runs.problems:
            status, message = runs.problems[name]
            deadly = is_truth or status == "crashed"
            role = "The truth" if is_truth else "The kernel set"
            text = f"{role} '{name}' did not run the file: {message}"
            if status == "timed-out":
                text += f" {FEWER_SAMPLES}."
            yield _check("file-runs", "failed" if deadly else "warning", text, kernel_set=name)
        elif is_truth:
            samples = len(runs.outputs[name][0]) * runs.batch if runs.outputs[name] else 0
            text = f"The truth '{name}' runs the file ({counted(samples, 'sample')})."
            if runs.stand_in and name == REPLACED:
                text = f"'{ORACLE}' runs the file in place of the truth '{name}' "
                text += f"({counted(samples, 'sample')})."
            yield _check("file-runs", "passed", text, kernel_set=name)


def _judge(result: RuntimeResult, limits: Limits, runs: EndToEnd, several: bool) -> Check:
    of = f" of output '{result.output}'" if several else ""
    differing = round(result.differing_share * result.samples)
    text = (
        f"{result.kernel_set} against the truth{of}: {differing:,} of "
        f"{counted(result.samples, 'sample')} differ"
    )
    too_far = result.max_quanta is None
    if result.max_quanta is None:
        text += ", some values are not finite"
    elif result.max_quanta:
        text += f", by at most {quanta(result.max_quanta)}"
        if limits.runtime_quanta is not None:
            text += f" (limit {limits.runtime_quanta})"
            too_far = result.max_quanta > limits.runtime_quanta
    facts: dict[str, Any]
    facts = {"measured": result.max_quanta, "limit": limits.runtime_quanta, "unit": "quanta"}
    if result.argmax_share is not None:
        changed = round(result.argmax_share * result.samples)
        text += f"; the class changes for {changed:,} ({share_text(result.argmax_share)}"
        text += f", limit {share_text(limits.runtime_argmax_share)})"
        too_far |= result.argmax_share > limits.runtime_argmax_share
        facts = {
            "measured": result.argmax_share,
            "limit": limits.runtime_argmax_share,
            "unit": "share of samples",
        }
    elif result.sqnr_db is not None:
        text += f"; the SQNR is {result.sqnr_db:.1f} dB (at least {limits.sqnr_db:g})"
        if is_noisy(result.sqnr_db, result.max_quanta or 0.0, limits):
            too_far = True
            facts = {"measured": result.sqnr_db, "limit": limits.sqnr_db, "unit": "dB"}
    status: CheckStatus = "failed" if too_far else "passed"
    if too_far and runs.is_made_up:
        status = "warning"
        text += "; the inputs are made up, so that this decides nothing"
    return _check("end-to-end", status, f"{text}.", kernel_set=result.kernel_set, **facts)


def _check(name: str, status: CheckStatus, message: str, **facts: Any) -> Check:
    return Check(gate="runtime", name=name, status=status, message=message, **facts)
