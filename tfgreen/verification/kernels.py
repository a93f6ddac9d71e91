"""The kernels gate: every op alone, fed the same intermediates, on every kernel set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfgreen.flatbuffer import TfliteModel, with_outputs
from tfgreen.runtimes import Outcome, Task
from tfgreen.verification.certificate import Check, CheckStatus, GateResult, KernelResult
from tfgreen.verification.execution import FEWER_SAMPLES
from tfgreen.verification.folding import constant_ops, fold
from tfgreen.verification.labels import counted, quanta
from tfgreen.verification.lineup import Lineup
from tfgreen.verification.op_trial import OpTrial

SHOWS_NO_CONSTANTS = "xnnpack"
"""It takes constants in while it loads, and refuses a file that computes nothing else."""

_MOST_NAMED = 10
_FORGIVEN = frozenset({"known-bad", "unregistered", "failed", "timed-out"})  # but of the truth

Values = Mapping[int, np.ndarray]
"""Activations by tensor index, each of shape (calls, *tensor shape)."""


class KernelTrial:
    """All ops of a file on all kernel sets, fed portion by portion.

    Attributes:
        capture_set: The kernel set whose intermediates feed the ops. It does not run them alone:
            what it gave inside the whole file is its result.
        capture_problem: Why no intermediates could be had, if so.
        captured_model: The file to be captured; constants folded in once `add_constants` ran.
    """

    def __init__(
        self, model: TfliteModel, lineup: Lineup, capture_set: str, op_quanta: int
    ) -> None:
        self._model, self._lineup, self._op_quanta = model, lineup, op_quanta
        self.capture_set, self.capture_problem = capture_set, ""
        self._constant = {
            op.index: OpTrial(model, op, with_outputs(model, op.outputs))
            for op in constant_ops(model)
        }
        self._trials: dict[int, OpTrial] = dict(self._constant)
        self.captured_model = model
        if not self._constant:
            self._cut(model)

    def constant_tasks(self) -> dict[str, list[Task]]:
        """By kernel set, one task for each op that computes from constants alone."""
        idle = tuple(
            np.zeros((1, *self._model.tensors[i].shape), self._model.tensors[i].dtype)
            for i in self._model.inputs
        )
        tasks = [Task(t.label, t.content or b"", idle) for t in self._constant.values()]
        sets = dict.fromkeys((self.capture_set, *self._lineup.runs))
        return {name: tasks for name in sets if tasks and name != SHOWS_NO_CONSTANTS}

    def add_constants(self, outcomes: Mapping[str, Sequence[Outcome]]) -> None:
        """Judge those ops, and make their results constants of the model to be captured."""
        values: dict[int, np.ndarray] = {}
        for position, trial in enumerate(self._constant.values()):
            results = {name: outcomes[name][position] for name in self._order(outcomes)}
            trial.add(results)
            best_first = (results[name] for name in (self.capture_set, *results))
            sound = next((outcome for outcome in best_first if outcome.ok), None)
            if sound is not None:
                pairs = zip(trial.op.outputs, sound.outputs, strict=True)
                values |= {index: array[0] for index, array in pairs}
        self.captured_model = fold(self._model, values)
        self._cut(self.captured_model)

    def tasks(self, values: Values) -> list[Task]:
        """One task for each op that can be cut out, fed from the captured `values`."""
        return [
            Task(trial.label, trial.content or b"", tuple(values[i] for i in trial.inputs))
            for trial in self._runnable(values)
        ]

    def add(self, values: Values, outcomes: Mapping[str, Sequence[Outcome]]) -> None:
        """Compare the outcomes of `tasks(values)` on the other kernel sets."""
        for position, trial in enumerate(self._runnable(values)):
            results: dict[str, Any] = {name: runs[position] for name, runs in outcomes.items()}
            if self.capture_set not in results:
                results[self.capture_set] = tuple(values[i] for i in trial.op.outputs)
            ordered = {name: results[name] for name in self._order(results)}
            trial.add(ordered, values.get(trial.op.inputs[0]))

    def results(self) -> tuple[KernelResult, ...]:
        """Every op on every kernel set of the lineup, in the file's order."""
        return tuple(
            trial.result(kernel_set, self._op_quanta)
            for trial in self._in_order()
            for kernel_set in self._lineup.runs
        )

    def gate(self) -> GateResult:
        """The verdict over all results."""
        checks = list(self._lineup.checks("kernels"))
        if self.capture_problem:
            text = f"No kernel set shows the file's intermediates: {self.capture_problem}"
            checks.append(_check("capture", "failed", text))
        for kernel_set in self._lineup.runs:
            checks += self._checks_of(kernel_set)
        for trial in self._in_order():
            if trial.not_compared:
                text = f"{trial.label} was not compared: {trial.not_compared}."
                checks.append(_check("op-not-compared", "skipped", text, op=trial.label))
        return GateResult.of("kernels", checks)

    def _cut(self, model: TfliteModel) -> None:
        """Cut out every op of `model`, under the index that it has in the file."""
        kept = [op for op in self._model.ops if op.index not in self._constant]
        for op, cut in zip(kept, model.ops, strict=True):
            self._trials[op.index] = OpTrial.of(self._model, op, model, cut)

    def _in_order(self) -> list[OpTrial]:
        return [self._trials[index] for index in sorted(self._trials)]

    def _runnable(self, values: Values) -> list[OpTrial]:
        found = []
        for trial in self._in_order():
            if trial.op.index in self._constant or trial.not_compared:
                continue
            if any(i not in values for i in (*trial.inputs, *trial.op.outputs)):
                trial.not_compared = "its intermediates cannot be shown"
            else:
                found.append(trial)
        return found

    def _order(self, results: Mapping[str, Any]) -> list[str]:
        """The truth first, then the capture set: the first sound one is what others equal."""
        order = (self._lineup.truth, self.capture_set, *self._lineup.compared)
        return [name for name in dict.fromkeys(order) if name in results]

    def _checks_of(self, kernel_set: str) -> Iterator[Check]:
        is_truth = kernel_set == self._lineup.truth
        pairs = [(t, t.result(kernel_set, self._op_quanta)) for t in self._in_order()]
        pairs = [(trial, result) for trial, result in pairs if result.status != "not-compared"]
        named: dict[str, int] = {}
        for trial, result in pairs:
            if result.status == "ok":
                continue
            named[result.status] = named.get(result.status, 0) + 1
            if named[result.status] <= _MOST_NAMED:
                yield _problem(trial, result, is_truth, self._op_quanta)
        for status, count in named.items():
            if count > _MOST_NAMED:
                yield _further(kernel_set, status, count - _MOST_NAMED, is_truth)
        sound = [(trial, result) for trial, result in pairs if result.status == "ok"]
        if sound:
            told = f"{len(sound)} of {counted(len(pairs), 'op')}"
            yield _summary(sound, told, kernel_set, is_truth, self._op_quanta)


def _summary(
    sound: list[tuple[OpTrial, KernelResult]],
    told: str,
    kernel_set: str,
    is_truth: bool,
    op_quanta: int,
) -> Check:
    facts: dict[str, Any] = {"kernel_set": kernel_set, "unit": "ops", "measured": len(sound)}
    compared = [(trial, result) for trial, result in sound if result.max_quanta is not None]
    if not compared:
        text = f"The {'truth' if is_truth else 'kernel set'} '{kernel_set}' runs {told}."
        return _check("ops", "passed", text, **facts)
    trial, worst = max(compared, key=lambda pair: pair[1].max_quanta or 0.0)
    text = f"On {kernel_set}, {told} lie within the limit of {quanta(op_quanta)}"
    if worst.max_quanta:
        text += f"; the largest step is {quanta(worst.max_quanta)}, at {trial.label}"
    facts |= {"unit": "quanta", "measured": worst.max_quanta, "limit": op_quanta}
    return _check("op-difference", "passed", f"{text}.", **facts)


def _problem(trial: OpTrial, result: KernelResult, is_truth: bool, op_quanta: int) -> Check:
    where = f"{trial.label} on {result.kernel_set}"
    detail = " ".join(result.message.split()).rstrip(".")
    limit = trial.limit(op_quanta)
    facts: dict[str, Any] = {"op": trial.label, "kernel_set": result.kernel_set}
    if result.status in ("beyond-limit", "known-bad"):
        facts |= {"measured": result.max_quanta, "limit": limit, "unit": "quanta"}
    if result.status == "beyond-limit" and result.max_quanta is None:
        text = f"{where} gives values that are not finite where the others' are"
    elif result.status == "beyond-limit":
        step = quanta(result.max_quanta or 0.0)
        text = f"{trial.label} differs by {step} on {result.kernel_set} (limit {limit})"
    elif result.status == "known-bad":
        step = "" if result.max_quanta is None else f" by {quanta(result.max_quanta)}"
        text = f"{where} is known to be wrong{step}: it {detail}"
    elif result.status == "unregistered":
        text = f"{trial.label} is not registered on {result.kernel_set}: {detail}"
    elif result.status == "failed":
        text = f"{where} does not run: {detail}"
    else:
        entry = trial.known_bad(result.kernel_set)
        text = f"{detail}{f'; known: it {entry.told}' if entry else ''}"
        if result.status == "timed-out":
            text += f". {FEWER_SAMPLES}"
    status = _status(result.status, is_truth)
    return _check(f"op-{result.status}", status, f"{text}.", **facts)


def _further(kernel_set: str, status: str, count: int, is_truth: bool) -> Check:
    text = f"{counted(count, 'more op')} on {kernel_set}: {status}."
    return _check(f"op-{status}", _status(status, is_truth), text, kernel_set=kernel_set)


def _status(status: str, is_truth: bool) -> CheckStatus:
    return "warning" if status in _FORGIVEN and not is_truth else "failed"


def _check(name: str, status: CheckStatus, message: str, **facts: Any) -> Check:
    return Check(gate="kernels", name=name, status=status, message=message, **facts)
