"""How much of the final error each op causes, by two experiments.

Switched to float: the whole file runs, but one op gives what the float model's op gives for the
same inputs, unrounded, until the next op that computes something stores its own result. What the
final error loses is the op's share.

Alone: the float model runs, and one tensor is off by what the file's op adds. What the final error
is then tells the op's part where several faults hide each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tfgreen.verification.diagnosis.steps import (
    MOVING,
    Reals,
    Step,
    Workbench,
    codes_of,
    reals_of,
)
from tfgreen.verification.sqnr import Power

_MEASURABLE_SHARE = 0.02


class Shares:
    """Both experiments on the first few samples.

    Args:
        bench: Both sides of every step.
        steps: In execution order.
        codes: Stored values of the file's activations.
        truths: Float values of the same tensors.
        added: What each op adds to the error of its inputs, as real values, by tensor.
        calls: How many of the samples to use.
    """

    def __init__(
        self,
        bench: Workbench,
        steps: Sequence[Step],
        codes: Reals,
        truths: Reals,
        added: Reals,
        calls: int,
    ) -> None:
        self._bench, self._steps = bench, steps
        self._codes = {index: codes[index][:calls] for index in truths}
        self._truths = {index: values[:calls] for index, values in truths.items()}
        self._added = {index: values[:calls] for index, values in added.items()}
        self._final = [index for index in bench.final if index in truths]
        self._alone: dict[int, float] = {}
        self._total = self.noise({i: self._stored(i) for i in self._final})

    @property
    def total(self) -> float:
        """Final noise of the file as a share of the signal."""
        return self._total

    def share(self, index: int) -> float:
        """Part of the final error that goes away if what writes this tensor were float.

        Below 2 % one op's part drowns in the chance of how all others round; there it is taken
        from what the op causes alone.
        """
        if not self._total or index not in self._added:
            return 0.0
        alone = self.noise_alone(index) / self._total
        if alone < _MEASURABLE_SHARE:
            return alone
        return min(max(0.0, 1 - self.noise_without([index]) / self._total), 1.0)

    def noise_without(self, indices: Sequence[int]) -> float:
        """Final noise over signal with some tensors' ops switched to float."""
        return self.noise(self._switched(set(indices)))

    def alone_sqnr_db(self, index: int) -> float | None:
        """Final SQNR if nothing else were quantized; None if that leaves no error."""
        return Power(1.0, self.noise_alone(index)).sqnr_db

    def noise_alone(self, index: int) -> float:
        """Final noise over signal if nothing else were quantized."""
        if index not in self._alone:
            some = index in self._added and bool(np.any(self._added[index]))
            self._alone[index] = (
                self.noise(self.with_error(index, self._added[index])) if some else 0.0
            )
        return self._alone[index]

    def _stored(self, index: int) -> np.ndarray:
        return reals_of(self._codes[index], self._bench.model.tensors[index])

    def noise(self, given: Mapping[int, np.ndarray]) -> float:
        """Mean over the final tensors of noise over signal."""
        ratios = []
        for index in self._final:
            power = Power()
            power.add(self._truths[index], given[index])
            ratios.append(power.noise / power.signal if power.signal else power.noise)
        return float(np.mean(ratios)) if ratios else 0.0

    def _switched(self, chosen: set[int]) -> dict[int, np.ndarray]:
        """Final real values of the file with some ops in float."""
        run = _PartlyFloat(self._bench, self._codes)
        run.exact.update({i: self._truths[i] for i in chosen if i in self._bench.model.inputs})
        for step in self._steps:
            if step.output in chosen:
                run.in_float(step)
            elif run.touches(step):
                run.as_stored(step)
        return {index: run.real(index) for index in self._final}

    def with_error(self, chosen: int, error: np.ndarray) -> dict[int, np.ndarray]:
        """Final real values of the float model with one tensor off by an error."""
        values = {chosen: self._truths[chosen] + error}
        for step in self._steps:
            if step.output == chosen or not any(i in values for i in step.file.inputs):
                continue
            given = {i: values.get(i, self._truths[i]) for i in step.file.inputs}
            result = self._bench.real(step, given)
            if result is not None:
                values[step.output] = result
        return {index: values.get(index, self._truths[index]) for index in self._final}


class _PartlyFloat:
    """A run of the file in which some tensors are not rounded; what stays the same is not run."""

    def __init__(self, bench: Workbench, codes: Reals) -> None:
        self._bench, self._usual = bench, codes
        self._tensors = bench.model.tensors
        self._codes: dict[int, np.ndarray] = {}
        self.exact: dict[int, np.ndarray] = {}

    def real(self, index: int) -> np.ndarray:
        """A tensor's real values: unrounded if it is in float."""
        return self.exact[index] if index in self.exact else self._rounded(index)

    def touches(self, step: Step) -> bool:
        """Whether anything that the step reads is not as usual."""
        return any(i in self._codes or i in self.exact for i in step.file.inputs)

    def in_float(self, step: Step) -> None:
        """What the float model gives for the values there are."""
        value = self._bench.real(step, {i: self.real(i) for i in step.file.inputs})
        if value is None:
            self.as_stored(step)
        else:
            self._codes[step.output] = codes_of(value, self._tensors[step.output])
            self.exact[step.output] = value

    def as_stored(self, step: Step) -> None:
        """What the file gives, moved by what unrounded inputs change in the float model."""
        stored = self._bench.stored(step, {i: self._now(i) for i in step.file.inputs})
        if stored is None:
            return
        self._codes[step.output] = stored
        if not any(i in self.exact for i in step.file.inputs):
            return
        better = self._bench.real(step, {i: self.real(i) for i in step.file.inputs})
        same = self._bench.real(step, {i: self._rounded(i) for i in step.file.inputs})
        if better is None or same is None:
            return
        value = reals_of(stored, self._tensors[step.output]) + (better - same)
        self._codes[step.output] = codes_of(value, self._tensors[step.output])
        if self._hands_on(step):
            self.exact[step.output] = better

    def _now(self, index: int) -> np.ndarray:
        return self._codes.get(index, self._usual[index])

    def _rounded(self, index: int) -> np.ndarray:
        return reals_of(self._now(index), self._tensors[index])

    def _hands_on(self, step: Step) -> bool:
        """Whether the output has the very steps of an input that is not rounded now."""
        mine = self._tensors[step.output].quantization
        if step.op.name not in MOVING or mine is None:
            return False
        inputs = [self._tensors[i].quantization for i in step.file.inputs if i in self.exact]
        return any(
            np.array_equal(mine.scales, theirs.scales)
            and np.array_equal(mine.zero_points, theirs.zero_points)
            for theirs in inputs
            if theirs is not None
        )
