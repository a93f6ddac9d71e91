"""One op of a file: how it is run alone, and what came of it on each kernel set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfgreen.errors import UnsupportedModelError
from tfgreen.flatbuffer import Op, TfliteModel, cut_op
from tfgreen.runtimes import Outcome
from tfgreen.verification.certificate import KernelResult
from tfgreen.verification.folding import RANDOM_OPS
from tfgreen.verification.hybrid import hybrid_quantum, is_hybrid
from tfgreen.verification.known_bad import KnownBad, known_bad, known_to_abort
from tfgreen.verification.labels import op_label
from tfgreen.verification.quanta import Comparison, is_exact, quantum_of

Results = Mapping[str, Outcome | Sequence[np.ndarray]]
"""By kernel set, in the order in which they may serve as baseline: an outcome, or its outputs."""


@dataclass
class OpTrial:
    """What is known about one op so far.

    Attributes:
        model, op: The file, and the op in it.
        content: The single-op file; None if the op cannot be run alone.
        inputs: Indices of the tensors that it is fed.
        not_compared: Why it is not run alone.
        problems: Kernel set to status and message, where it did not run.
        comparisons: Kernel set to one comparison per output.
        ran: The kernel sets that gave a result.
        baselines: Those that the others are held against: in each portion, the first that ran and
            is not known bad.
        peak_accumulator: The largest sum that the oracle saw.
    """

    model: TfliteModel
    op: Op
    content: bytes | None
    inputs: tuple[int, ...] = ()
    not_compared: str = ""
    problems: dict[str, tuple[str, str]] = field(default_factory=dict)
    comparisons: dict[str, list[Comparison]] = field(default_factory=dict)
    ran: set[str] = field(default_factory=set)
    baselines: set[str] = field(default_factory=set)
    peak_accumulator: int | None = None

    @classmethod
    def of(cls, file: TfliteModel, op: Op, cut_from: TfliteModel, cut: Op) -> OpTrial:
        """The trial of `op` of `file`, cut out of `cut_from`, where it is `cut`."""
        given = tuple(i for i in dict.fromkeys(cut.inputs) if i >= 0 and _is_fed(cut_from, i))
        reason = _reason_not_to_run(cut_from, cut, given)
        content = None
        if not reason:
            try:
                content = cut_op(cut_from, cut.index)
            except UnsupportedModelError:
                reason = "it runs other subgraphs or holds a resource"
        return cls(file, op, content, given, reason)

    @property
    def label(self) -> str:
        """What certificates call the op."""
        return op_label(self.model, self.op)

    def known_bad(self, kernel_set: str) -> KnownBad | None:
        """The entry of the known-bad table that explains a difference on a kernel set."""
        return known_bad(kernel_set, self.model, self.op)

    def known_to_abort(self, kernel_set: str) -> KnownBad | None:
        """The entry of the known-bad table that explains a crash on a kernel set."""
        return known_to_abort(kernel_set, self.model, self.op)

    def limit(self, op_quanta: int) -> int:
        """Quanta that results may lie apart; 0 if one of the outputs is plain integers."""
        return 0 if any(is_exact(self.model, index) for index in self.op.outputs) else op_quanta

    def add(self, results: Results, given: np.ndarray | None = None) -> None:
        """Take in one portion of results; `given` are the values of the op's first input."""
        values: dict[str, Sequence[np.ndarray]] = {}
        for kernel_set, result in results.items():
            if not isinstance(result, Outcome):
                values[kernel_set] = result
            elif result.ok:
                values[kernel_set] = result.outputs
                self._note_peak(result.peak_accumulator)
            else:
                self.problems.setdefault(kernel_set, (result.status, result.message))
        self.ran |= values.keys()
        baseline = next((name for name in values if not self.known_bad(name)), None)
        if baseline is None:
            return
        self.baselines.add(baseline)
        expected = values.pop(baseline)
        for kernel_set, outputs in values.items():
            self._compare(kernel_set, expected, outputs, given)

    def result(self, kernel_set: str, op_quanta: int) -> KernelResult:
        """What the certificate says about this op on one kernel set."""
        comparisons = self.comparisons.get(kernel_set, [])
        steps = [comparison.max_quanta for comparison in comparisons]
        finite = [step for step in steps if step is not None]
        facts: dict[str, Any] = {"status": "ok"}
        if comparisons:
            facts["max_quanta"] = max(finite) if len(finite) == len(steps) else None
            facts["differing_share"] = max(c.differing_share for c in comparisons)
        limit = self.limit(op_quanta)
        within = bool(steps) and len(finite) == len(steps) and max(finite) <= limit
        if self.not_compared:
            facts |= {"status": "not-compared", "message": self.not_compared}
        elif kernel_set in self.problems:
            status, message = self.problems[kernel_set]
            facts |= {"status": status, "message": message}
        elif kernel_set not in self.ran:
            facts |= {"status": "not-compared", "message": "it was not run alone"}
        elif not within and (steps or kernel_set not in self.baselines):
            entry = self.known_bad(kernel_set)
            facts["status"] = "known-bad" if entry else "beyond-limit"
            facts["message"] = entry.told if entry else ""
        tensor = self.model.tensors[self.op.outputs[0]].name if self.op.outputs else ""
        named = {"op_index": self.op.index, "op": self.op.name, "tensor": tensor}
        return KernelResult.model_validate(named | {"kernel_set": kernel_set} | facts)

    def _note_peak(self, peak: int | None) -> None:
        if peak is not None:
            self.peak_accumulator = max(peak, self.peak_accumulator or 0)

    def _compare(
        self,
        kernel_set: str,
        expected: Sequence[np.ndarray],
        outputs: Sequence[np.ndarray],
        given: np.ndarray | None,
    ) -> None:
        if kernel_set not in self.comparisons:
            self.comparisons[kernel_set] = [
                Comparison(quantum_of(self.model, index)) for index in self.op.outputs
            ]
        if given is not None and is_hybrid(self.model, self.op):
            self._widen(kernel_set, expected, given)
        pairs = zip(self.comparisons[kernel_set], expected, outputs, strict=True)
        for comparison, want, got in pairs:
            if want.shape != got.shape:
                text = f"it gives the shape {got.shape[1:]} instead of {want.shape[1:]}"
                self.problems.setdefault(kernel_set, ("failed", text))
                return
            comparison.add(want, got)

    def _widen(self, kernel_set: str, expected: Sequence[np.ndarray], given: np.ndarray) -> None:
        """The quantum of a hybrid op is the largest that one of the portions gives."""
        for comparison, results in zip(self.comparisons[kernel_set], expected, strict=True):
            quantum = hybrid_quantum(self.model, self.op, given, results)
            comparison.quantum = max(quantum or 0.0, comparison.quantum or 0.0) or None


def _is_fed(model: TfliteModel, index: int) -> bool:
    return index in model.inputs or model.producer(index) is not None


def _reason_not_to_run(model: TfliteModel, op: Op, given: tuple[int, ...]) -> str:
    touched = [index for index in (*op.inputs, *op.outputs) if index >= 0]
    if op.name in RANDOM_OPS:
        return "it draws random numbers"
    if any(model.tensors[index].is_variable for index in touched):
        return "it keeps state from one call to the next"
    if not given or not op.outputs:
        return "it has no input or no output that could be fed or compared"
    return ""
