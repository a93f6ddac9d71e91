"""The golden test's data: a few inputs of the bundle and the answers that a board has to give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tfgreen.flatbuffer import TfliteModel
from tfgreen.golden import Golden
from tfgreen.targets.microcontroller.sources.arrays import number_rows
from tfgreen.targets.microcontroller.sources.boundary import CTensor
from tfgreen.verification.device_line import LINE_VERSION, expected_answers, golden_id
from tfgreen.verification.quanta import finite_range, float_quantum, quantum_of

MOST_GOLDEN_BYTES = 32 * 1024
"""Golden inputs and answers take no more of the flash, but for a single vector."""


@dataclass(frozen=True)
class GoldenPart:
    """The vectors that the sources carry.

    Attributes:
        kernel_set: Whose answers they are.
        inputs, answers: One (vectors, *tensor shape) array per graph input and output.
        quanta: For each output, the size of a quantum in its own values.
    """

    kernel_set: str
    inputs: tuple[np.ndarray, ...]
    answers: tuple[np.ndarray, ...]
    quanta: tuple[float, ...]

    @classmethod
    def of(cls, model: TfliteModel, golden: Golden, truth: str) -> GoldenPart | None:
        """As many vectors of `golden` as fit; None if it holds none."""
        expected = expected_answers(golden, truth)
        if expected is None or not len(golden.file_inputs[0]):
            return None
        kernel_set, answers = expected
        arrays = (*golden.file_inputs, *answers)
        vector_bytes = sum(array[0].nbytes for array in arrays)
        count = max(1, MOST_GOLDEN_BYTES // max(vector_bytes, 1))
        inputs = tuple(array[:count] for array in golden.file_inputs)
        answers = tuple(array[:count] for array in answers)
        pairs = zip(model.outputs, answers, strict=True)
        quanta = (quantum_of(model, i) or float_quantum(*finite_range(a)) for i, a in pairs)
        return cls(kernel_set, inputs, answers, tuple(quanta))

    def texts(self, inputs: Sequence[CTensor], outputs: Sequence[CTensor]) -> dict[str, str]:
        """What the templates of the golden test need."""
        tensors = (*inputs, *outputs)
        pairs = zip(outputs, self.quanta, strict=True)
        return {
            "TRUTH": self.kernel_set,
            "VECTORS": str(len(self.inputs[0])),
            "GOLDEN_ID": golden_id(self.inputs, self.answers),
            "LINE_VERSION": str(LINE_VERSION),
            "GOLDEN_DECLARATIONS": "\n".join(f"{t.golden_array};" for t in tensors),
            "GOLDEN_ARRAYS": "\n\n".join(self._arrays(tensors)),
            "FEEDS": "\n".join(tensor.feed for tensor in inputs),
            "STEP_CASES": "\n".join(tensor.step_case(quantum) for tensor, quantum in pairs),
        }

    def _arrays(self, tensors: Sequence[CTensor]) -> Iterator[str]:
        for tensor, values in zip(tensors, (*self.inputs, *self.answers), strict=True):
            definition = tensor.golden_array.removeprefix("extern ")
            yield f"{definition} = {{\n{number_rows(values)}\n}};"
