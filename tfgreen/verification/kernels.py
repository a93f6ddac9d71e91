"""The kernels gate: every op alone, fed the same intermediates, on every kernel set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
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
from tfgreen.verification.oracle import ORACLE, REPLACED, op_rounding, stays_right

SHOWS_NO_CONSTANTS = "xnnpack"
"""It takes constants in while it loads, and refuses a file that computes nothing else."""

_MOST_NAMED = 10
_FORGIVEN = frozenset({"known-bad", "unregistered", "failed", "timed-out"})  # but of the truth
_WORST_FIRST: tuple[CheckStatus, ...] = ("failed", "warning", "skipped")

Values = Mapping[int, np.ndarray]
"""Activations by tensor index, each of shape (calls, *tensor shape)."""


class KernelTrial:
    """All ops of a file on all kernel sets, fed portion by portion.

    Attributes:
        capture_set: The kernel set whose intermediates feed the ops. It does not run them alone:
            what it gave inside the whole file is its result.
        capture_problem: Why no intermediates could be had, if so.
        captured_model: The file to be captured; constants folded in once `add_constants` ran.
        is_stood_in_for: The oracle showed the intermediates in place of the capture set.
        is_truth_replaced: All that the truth answered to the whole file came from the oracle.
    """

    def __init__(
        self, model: TfliteModel, lineup: Lineup, capture_set: str, op_quanta: int
    ) -> None:
        self._model, self._lineup, self._op_quanta = model, lineup, op_quanta
        self.capture_set, self.capture_problem = capture_set, ""
        self.is_stood_in_for = self.is_truth_replaced = False
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
        if not self._constant:
            return {}
        trials = self._constant.values()
        sets = dict.fromkeys((self.capture_set, *self._lineup.judged))
        return {
            name: [self._task(trial, idle, name) for trial in trials]
            for name in sets
            if name != SHOWS_NO_CONSTANTS
        }

    def add_constants(self, outcomes: Mapping[str, Sequence[Outcome]]) -> None:
        """Judge those ops, and make their results constants of the model to be captured."""
        values: dict[int, np.ndarray] = {}
        for position, trial in enumerate(self._constant.values()):
            results = {name: outcomes[name][position] for name in self._order(outcomes)}
            trial.add(results)
            best_first = (results[name] for name in (self.capture_set, *results) if name in results)
            sound = next((outcome for outcome in best_first if outcome.ok), None)
            if sound is not None:
                pairs = zip(trial.op.outputs, sound.outputs, strict=True)
                values |= {index: array[0] for index, array in pairs}
        self.captured_model = fold(self._model, values)
        self._cut(self.captured_model)

    @property
    def source(self) -> str:
        """Whose intermediates feed the ops."""
        return ORACLE if self.is_stood_in_for else self.capture_set

    def tasks(self, values: Values) -> dict[str, list[Task]]:
        """By kernel set, one task for each op that can be cut out, fed from the `values`."""
        trials = self._runnable(values)
        shown = {self.source} - {self._lineup.oracle}  # it gave its results with the whole file
        return {
            name: [self._task(t, tuple(values[i] for i in t.inputs), name) for t in trials]
            for name in self._lineup.judged
            if name not in shown
        }

    def _task(self, trial: OpTrial, inputs: tuple[np.ndarray, ...], kernel_set: str) -> Task:
        task = Task(trial.label, trial.content or b"", inputs)
        if kernel_set != ORACLE:
            return task
        mode = op_rounding(self._lineup.profile_truth, trial.model, trial.op)
        return replace(task, rounding=mode)

    def peaks(self) -> dict[int, int]:
        """By tensor, the largest accumulator that the oracle saw in the op that wrote it."""
        return {
            trial.op.outputs[0]: trial.peak_accumulator
            for trial in self._in_order()
            if trial.peak_accumulator is not None
        }

    def add(self, values: Values, outcomes: Mapping[str, Sequence[Outcome]]) -> None:
        """Compare the outcomes of `tasks(values)` on the other kernel sets."""
        for position, trial in enumerate(self._runnable(values)):
            results: dict[str, Any] = {name: runs[position] for name, runs in outcomes.items()}
            if self.source not in results:
                results[self.source] = tuple(values[i] for i in trial.op.outputs)
            ordered = {name: results[name] for name in self._order(results)}
            trial.add(ordered, values.get(trial.op.inputs[0]))

    def results(self) -> tuple[KernelResult, ...]:
        """Every op on every kernel set of the lineup, in the file's order."""
        return tuple(
            trial.result(kernel_set, self._op_quanta)
            for trial in self._in_order()
            for kernel_set in self._lineup.judged
        )

    def gate(self, findings: Iterable[Check] = ()) -> GateResult:
        """The verdict over all results, and what else was found out about the ops."""
        checks = list(self._lineup.checks("kernels"))
        if self.capture_problem:
            text = f"No kernel set shows the file's intermediates: {self.capture_problem}"
            checks.append(_check("capture", "failed", text))
        for kernel_set in self._lineup.judged:
            checks += self._checks_of(kernel_set)
        checks += findings
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
        """The oracle first, then the truth: the first sound one is what others equal."""
        oracle = self._lineup.oracle or self._lineup.truth
        order = (oracle, self._lineup.truth, self.source, *self._lineup.compared)
        return [name for name in dict.fromkeys(order) if name in results]

    def _checks_of(self, kernel_set: str) -> Iterator[Check]:
        pairs = [(t, t.result(kernel_set, self._op_quanta)) for t in self._in_order()]
        pairs = [(trial, result) for trial, result in pairs if result.status != "not-compared"]
        named: dict[str, int] = {}
        for trial, result in pairs:
            if result.status == "ok":
                continue
            named[result.status] = named.get(result.status, 0) + 1
            if named[result.status] <= _MOST_NAMED:
                yield self._problem(trial, result)
        for status, count in named.items():
            if count > _MOST_NAMED:
                yield self._further(kernel_set, status, count - _MOST_NAMED)
        sound = [(trial, result) for trial, result in pairs if result.status == "ok"]
        if sound:
            told = f"{len(sound)} of {counted(len(pairs), 'op')}"
            yield self._summary(sound, told, kernel_set)

    def _summary(
        self, sound: list[tuple[OpTrial, KernelResult]], told: str, kernel_set: str
    ) -> Check:
        facts: dict[str, Any] = {"kernel_set": kernel_set, "unit": "ops", "measured": len(sound)}
        compared = [(trial, result) for trial, result in sound if result.max_quanta is not None]
        if not compared:
            role = "truth" if kernel_set == self._lineup.truth else "kernel set"
            role = "oracle" if kernel_set == self._lineup.oracle else role
            return _check("ops", "passed", f"The {role} '{kernel_set}' runs {told}.", **facts)
        trial, worst = max(compared, key=lambda pair: pair[1].max_quanta or 0.0)
        text = f"On {kernel_set}, {told} lie within the limit of {quanta(self._op_quanta)}"
        if worst.max_quanta:
            text += f"; the largest step is {quanta(worst.max_quanta)}, at {trial.label}"
        facts |= {"unit": "quanta", "measured": worst.max_quanta, "limit": self._op_quanta}
        return _check("op-difference", "passed", f"{text}.", **facts)

    def _problem(self, trial: OpTrial, result: KernelResult) -> Check:
        limit = trial.limit(self._op_quanta)
        facts: dict[str, Any] = {"op": trial.label, "kernel_set": result.kernel_set}
        if result.status in ("beyond-limit", "known-bad"):
            facts |= {"measured": result.max_quanta, "limit": limit, "unit": "quanta"}
        text = _told(trial, result, limit)
        if self._is_stood_in_for(trial, result):
            text += f"; the oracle '{ORACLE}' stands in for it"
        status = self._status(trial, result)
        return _check(f"op-{result.status}", status, f"{text}.", **facts)

    def _further(self, kernel_set: str, status: str, count: int) -> Check:
        results = ((t, t.result(kernel_set, self._op_quanta)) for t in self._in_order())
        statuses = {self._status(trial, r) for trial, r in results if r.status == status}
        text = f"{counted(count, 'more op')} on {kernel_set}: {status}."
        worst = next(s for s in _WORST_FIRST if s in statuses)
        return _check(f"op-{status}", worst, text, kernel_set=kernel_set)

    def _status(self, trial: OpTrial, result: KernelResult) -> CheckStatus:
        """How much a result that is not ok counts."""
        if result.kernel_set == self._lineup.oracle and self._lineup.is_oracle_apart:
            return "skipped" if result.status in ("unregistered", "failed") else "warning"
        if self._is_stood_in_for(trial, result):
            return "warning"
        is_truth = result.kernel_set == self._lineup.truth
        return "warning" if result.status in _FORGIVEN and not is_truth else "failed"

    def _is_stood_in_for(self, trial: OpTrial, result: KernelResult) -> bool:
        """Whether the oracle does what the reference kernels cannot do for this op."""
        if result.kernel_set != REPLACED or self._lineup.oracle not in trial.ran:
            return False
        if self._lineup.truth == REPLACED and not self.is_truth_replaced:
            return False
        wrong = result.status == "known-bad" and stays_right(trial.op)
        return wrong or result.status in ("crashed", "failed", "unregistered")


def _told(trial: OpTrial, result: KernelResult, limit: int) -> str:
    where = f"{trial.label} on {result.kernel_set}"
    detail = " ".join(result.message.split()).rstrip(".")
    if result.status == "beyond-limit" and result.max_quanta is None:
        return f"{where} gives values that are not finite where the others' are"
    if result.status == "beyond-limit":
        step = quanta(result.max_quanta or 0.0)
        return f"{trial.label} differs by {step} on {result.kernel_set} (limit {limit})"
    if result.status == "known-bad":
        step = "" if result.max_quanta is None else f" by {quanta(result.max_quanta)}"
        return f"{where} is known to be wrong{step}: it {detail}"
    if result.status == "unregistered":
        return f"{trial.label} is not registered on {result.kernel_set}: {detail}"
    if result.status == "failed":
        return f"{where} does not run: {detail}"
    entry = trial.known_bad(result.kernel_set)
    if result.status == "crashed":
        entry = trial.known_to_abort(result.kernel_set) or entry
    text = f"{detail}{f'; known: it {entry.told}' if entry else ''}"
    return f"{text}. {FEWER_SAMPLES}" if result.status == "timed-out" else text


def _check(name: str, status: CheckStatus, message: str, **facts: Any) -> Check:
    return Check(gate="kernels", name=name, status=status, message=message, **facts)
