"""The kernel set that is a board: judged by its log, with the limits of every other kernel set."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfgreen.errors import IntegrityError, InvalidDataError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.flatbuffer.facts import FLOAT_DTYPES
from tfgreen.golden import Golden
from tfgreen.profile import ExportProfile, Limits
from tfgreen.verification.certificate import (
    Certificate,
    Check,
    CheckStatus,
    GateResult,
    KernelSetFacts,
    RuntimeResult,
    verdict_of,
)
from tfgreen.verification.device_line import expected_answers, golden_id
from tfgreen.verification.device_log import (
    DeviceLog,
    DeviceRun,
    median_milliseconds,
    read_device_log,
)
from tfgreen.verification.labels import counted
from tfgreen.verification.lineup import Lineup
from tfgreen.verification.metrics import is_classification
from tfgreen.verification.runtime import EndToEnd, compare_runs, judge_runtime
from tfgreen.verification.workload import batch_of

DEVICE = "device"

Judged = tuple[tuple[RuntimeResult, ...], tuple[Check, ...]]
"""What one run of the golden test gave for each output, and the checks on it."""


def with_device_log(
    certificate: Certificate,
    content: bytes,
    golden: Golden,
    profile: ExportProfile,
    text: str,
    *,
    compiled: Sequence[bytes] = (),
) -> Certificate:
    """The certificate with a board as one more kernel set, measured by its serial log.

    Args:
        certificate: Of `content`.
        content: The file that the board runs.
        golden: The bundle's inputs and answers, of which the firmware holds the first ones.
        profile: Its limits judge, and its budget for the arena.
        text: The log.
        compiled: What an NPU's compiler made of `content`, which a board may run in its place.

    Raises:
        InvalidDataError: no whole line of the golden test, a line that contradicts itself, or a
            bundle without golden vectors.
        IntegrityError: the log is of another model, or of golden vectors of another export.
    """
    expected = expected_answers(golden, profile.kernel_sets.truth)
    if expected is None:
        raise InvalidDataError(
            "The bundle holds no golden vectors to compare a device's answers with. Export again "
            "with samples."
        )
    model = TfliteModel.from_bytes(content)
    log = read_device_log(text, model, (content, *compiled))
    truth, answers = expected
    whole = [run for run in log.runs if run.is_complete]
    for run in whole:
        _check_vectors(run, golden, answers)
        _check_steps(run, model, answers)
    judged = [_judged(model, truth, answers, run, profile.limits) for run in whole]
    results, checks = max(judged, key=_badness, default=((), ()))
    checks = (
        *_gave_up(log.runs),
        *_broke_off(log),
        *checks,
        *_figures(whole, profile.budgets.arena_bytes),
    )
    runtime = certificate.gate("runtime")
    gates = (*certificate.gates[:3], GateResult.of("runtime", (*runtime.checks, *checks)))
    facts = KernelSetFacts(role="measured", available=True, version=None)
    return certificate.model_copy(
        update={
            "gates": gates,
            "verdict": verdict_of(gates),
            "kernel_sets": {**certificate.kernel_sets, DEVICE: facts},
            "runtime": (*certificate.runtime, *results),
            "target": {**certificate.target, DEVICE: _facts(log, whole)},
        }
    )


def _check_vectors(run: DeviceRun, golden: Golden, answers: Sequence[np.ndarray]) -> None:
    count = run.vectors
    ours = golden_id(
        [array[:count] for array in golden.file_inputs], [array[:count] for array in answers]
    )
    if not 0 < count <= len(answers[0]) or run.golden_id != ours:
        raise IntegrityError(
            "The firmware holds other golden vectors than the bundle: it was rendered by another "
            "export of the same file. Flash the sources of this bundle and log again."
        )


def _check_steps(run: DeviceRun, model: TfliteModel, answers: Sequence[np.ndarray]) -> None:
    """The board counted quanta itself: another count here means that characters were lost.

    Floats are left out, since the board divides in float32.
    """
    for position, index in enumerate(model.outputs):
        if model.tensors[index].dtype in FLOAT_DTYPES:
            continue
        theirs, ours = (a.astype(np.int64) for a in (run.answers[position], answers[position]))
        steps = np.abs(theirs - ours[: run.vectors]).reshape(run.vectors, -1).max(axis=1)
        if [told[position] for told in run.steps] != steps.tolist():
            raise InvalidDataError(
                "The device log's line contradicts itself: the board counted other differences "
                "than its answers show, so that characters were changed on the way. Log it again."
            )


def _judged(
    model: TfliteModel, truth: str, answers: Sequence[np.ndarray], run: DeviceRun, limits: Limits
) -> Judged:
    """One whole run beside what the truth answered to the same vectors."""
    lineup = Lineup(truth, truth, (DEVICE,), {})
    outputs = {truth: [array[: run.vectors] for array in answers], DEVICE: run.answers}
    positions = range(len(model.outputs))
    classifying = frozenset(i for i in positions if is_classification(model, i, None))
    measured = EndToEnd(outputs, {}, batch_of(model), classifying, is_made_up=False)
    gate = judge_runtime(model, lineup, limits, measured)
    checks = tuple(check for check in gate.checks if check.kernel_set == DEVICE)
    return compare_runs(model, lineup, measured), checks


def _badness(judged: Judged) -> tuple[float, ...]:
    results, checks = judged
    return (
        sum(check.status == "failed" for check in checks),
        max(result.argmax_share or 0.0 for result in results),
        max(math.inf if result.max_quanta is None else result.max_quanta for result in results),
    )


def _gave_up(runs: Sequence[DeviceRun]) -> Iterator[Check]:
    for number, run in enumerate(runs, start=1):
        if not run.is_complete:
            text = f"Run {number} of {len(runs)} in the device log ended with '{run.status}'."
            yield _check("device-runs", "failed", text)


def _broke_off(log: DeviceLog) -> Iterator[Check]:
    if log.broken_lines:
        text = (
            f"In the device log {counted(log.broken_lines, 'line')} of the golden test did not "
            "come to an end, as of a board that resets or a port that loses characters."
        )
        yield _check("device-lines", "warning", text, measured=log.broken_lines, limit=0)


def _figures(whole: Sequence[DeviceRun], arena_budget_bytes: int | None) -> Iterator[Check]:
    """What the board used: time and memory."""
    if not whole:
        return
    milliseconds = median_milliseconds(whole)
    if milliseconds is not None:
        times = [time / 1000 for run in whole for time in run.microseconds]
        text = (
            f"The device takes {milliseconds:,.3f} ms a call (median of "
            f"{counted(len(times), 'call')}, {min(times):,.3f} to {max(times):,.3f} ms)."
        )
        yield _check("device-latency", "passed", text, measured=milliseconds, unit="ms")
    arena_bytes = max(run.arena_bytes for run in whole)
    text = f"The device uses {counted(arena_bytes, 'byte')} of arena"
    is_over = arena_budget_bytes is not None and arena_bytes > arena_budget_bytes
    text += f" (budget {arena_budget_bytes:,})." if arena_budget_bytes is not None else "."
    yield _check(
        "device-arena", "failed" if is_over else "passed", text,
        measured=arena_bytes, limit=arena_budget_bytes, unit="bytes",
    )  # fmt: skip


def _check(name: str, status: CheckStatus, message: str, **facts: Any) -> Check:
    return Check(
        gate="runtime", name=name, status=status, message=message, kernel_set=DEVICE, **facts
    )


def _facts(log: DeviceLog, whole: Sequence[DeviceRun]) -> dict[str, Any]:
    """What the log tells of the board, for the certificate's JSON."""
    return {
        "runs": len(log.runs),
        "broken_lines": log.broken_lines,
        "whole_runs": len(whole),
        "golden_vectors": whole[0].vectors if whole else 0,
        "arena_bytes": max((run.arena_bytes for run in whole), default=None),
        "milliseconds": median_milliseconds(whole),
    }
