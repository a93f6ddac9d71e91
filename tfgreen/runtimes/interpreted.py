"""The NumPy interpreter behind the protocol: integers by the specification, whole batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tfgreen.errors import UnsupportedModelError
from tfgreen.reference import Interpreter, Rounding
from tfgreen.runtimes.protocol import (
    Capture,
    InputSpec,
    LoadedModel,
    UnregisteredOpError,
    output_key,
    tensor_key,
)


class InterpretedModel(LoadedModel):
    """A file in the NumPy interpreter, with the rounding of one of the other kernel sets."""

    def __init__(self, content: bytes, capture: Capture, rounding: Rounding) -> None:
        try:
            self._interpreter = Interpreter(content, rounding)
        except UnsupportedModelError as error:
            told, *_ = str(error).partition(" There are ")  # the list of its ops
            raise UnregisteredOpError(told) from error
        self._model, self._capture_all = self._interpreter.model, capture == "all"
        self._peak: int | None = None
        tensors = [self._model.tensors[index] for index in self._model.inputs]
        self.input_specs: Sequence[InputSpec] = [(t.shape, np.dtype(t.dtype)) for t in tensors]

    def invoke_each(
        self, arrays: Sequence[np.ndarray], sample_count: int
    ) -> Iterator[dict[str, np.ndarray]]:
        """Run every sample, as many at once as fit the working set."""
        with self._interpreter.watching() as peaks:
            for part in self._interpreter.run_parts(arrays, keep_all=self._capture_all):
                named = {output_key(i): part[t] for i, t in enumerate(self._model.outputs)}
                if self._capture_all:
                    named |= {tensor_key(index): values for index, values in part.items()}
                for position in range(len(next(iter(named.values())))):
                    yield {key: values[position] for key, values in named.items()}
            self._peak = max(peaks.values(), default=None)

    def peak_accumulator(self) -> int | None:
        """The largest absolute sum of any op, over all samples."""
        return self._peak
