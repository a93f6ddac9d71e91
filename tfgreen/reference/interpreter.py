"""`Interpreter`: a .tflite file run by NumPy, bit for bit as a kernel set would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import get_args

import numpy as np

from tfgreen.errors import (
    InvalidDataError,
    InvalidModelError,
    TfgreenError,
    UnknownNameError,
    UnsupportedModelError,
    UsageError,
)
from tfgreen.flatbuffer import Op, TfliteModel
from tfgreen.reference.graph import bytes_per_sample, check_graph, last_uses, storage_of
from tfgreen.reference.kernels.registry import KERNELS
from tfgreen.reference.node import Node, Peaks, Run
from tfgreen.reference.requantization import Rounding
from tfgreen.reference.saturation import Saturation, TensorAudit

DEFAULT_WORKING_SET_BYTES = 512 << 20
_SMALLEST_WORKING_SET_BYTES = 1 << 16
_ACTIVATIONS_SHARE = 2  # activations may take half of the working set, kernels the rest
_QUANTIZED = ("int8", "uint8", "int16")
_NUMPY_REFUSES = (
    ValueError, IndexError, TypeError, OverflowError, ZeroDivisionError, MemoryError,
)  # fmt: skip


class Interpreter:
    """Runs the first subgraph of a .tflite file on whole batches.

    Everything that does not depend on the inputs is worked out here: a file that is damaged or
    holds an op that is missing is refused before anything runs.

    Args:
        content: The file.
        rounding: Whose integers to reproduce: "reference" (LiteRT's BUILTIN_REF), "micro"
            (TensorFlow Lite Micro), both bit for bit, or "xnnpack", to within a quantum.
        working_set_bytes: Upper bound of the memory for activations and scratch; longer batches
            are run in parts. Inputs, results and constants come on top.

    Raises:
        InvalidModelError: a damaged file, naming the tensor or the op; or one sample alone needs
            more than the working set.
        UnsupportedModelError: an op that there is no kernel for.
        UnknownNameError: another rounding.
        UsageError: a working set of less than 64 KiB.
    """

    def __init__(
        self,
        content: bytes,
        rounding: Rounding = "reference",
        working_set_bytes: int = DEFAULT_WORKING_SET_BYTES,
    ) -> None:
        if rounding not in get_args(Rounding):
            raise UnknownNameError("rounding", str(rounding), get_args(Rounding))
        if working_set_bytes < _SMALLEST_WORKING_SET_BYTES:
            raise UsageError(
                f"Received working_set_bytes={working_set_bytes}; expected at least "
                f"{_SMALLEST_WORKING_SET_BYTES}."
            )
        self.model = TfliteModel.from_bytes(content)
        self.rounding: Rounding = rounding
        self.working_set_bytes = working_set_bytes
        check_graph(self.model, working_set_bytes)
        self._last_uses = last_uses(self.model)
        self._bytes_per_sample = [bytes_per_sample(self.model, keep) for keep in (False, True)]
        self._peaks = Peaks()
        written = {index for op in self.model.ops for index in op.outputs}
        self._dtypes = {i: np.dtype(storage_of(self.model.tensors[i])) for i in written}
        self._constants = self._stored_constants()
        self._runs = [self._prepared(op) for op in self.model.ops]

    def run(self, inputs: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        """The graph outputs for a whole batch.

        Args:
            inputs: One array for each graph input, (N, *tensor shape) in the tensor's dtype.

        Returns:
            One array for each graph output, (N, *tensor shape).

        Raises:
            InvalidDataError: inputs of another number, shape or dtype.
        """
        parts = [
            [values[index] for index in self.model.outputs]
            for values in self.run_parts(inputs, keep_all=False)
        ]
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))

    def run_all(self, inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Every activation by tensor name, graph inputs included; of equal names the first.

        Raises:
            InvalidDataError: as `run`.
        """
        named: dict[str, np.ndarray] = {}
        for index, values in self.run_tensors(inputs).items():
            named.setdefault(self.model.tensors[index].name, values)
        return named

    def run_tensors(self, inputs: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
        """As `run_all`, by tensor index, in the order in which they are computed."""
        parts = list(self.run_parts(inputs))
        return {index: np.concatenate([part[index] for part in parts]) for index in parts[0]}

    def audit(self, inputs: Sequence[np.ndarray]) -> tuple[TensorAudit, ...]:
        """Where values saturate, and how full accumulators get, for these inputs.

        Returns:
            One entry for each quantized activation, in the order in which they are computed.

        Raises:
            InvalidDataError: as `run`.
        """
        counts: dict[int, Saturation] = {}
        with self.watching() as peaks:
            for part in self.run_parts(inputs):
                for index, values in part.items():
                    if values.dtype.name in _QUANTIZED:
                        counts.setdefault(index, Saturation()).add(values)
        return tuple(
            count.audit(self.model, index, peaks.get(index)) for index, count in counts.items()
        )

    @contextmanager
    def watching(self) -> Iterator[Mapping[int, int]]:
        """While open, fill a mapping of tensor index to the largest absolute accumulator."""
        self._peaks.watched, self._peaks.largest = True, {}
        try:
            yield self._peaks.largest
        finally:
            self._peaks.watched = False

    def run_parts(
        self, inputs: Sequence[np.ndarray], keep_all: bool = True
    ) -> Iterator[dict[int, np.ndarray]]:
        """As `run_tensors`, in parts of the batch that fit the working set.

        Args:
            inputs: As `run`.
            keep_all: Yield every activation; else the graph outputs alone, which takes less
                memory and so gives longer parts.
        """
        total = self._checked(inputs)
        per_sample = max(self._bytes_per_sample[keep_all], 1)
        step = max(1, self.working_set_bytes // _ACTIVATIONS_SHARE // per_sample)
        for start in range(0, total, step):
            part = [array[start : start + step] for array in inputs]
            yield self._one_part(part, keep_all)

    def _one_part(self, inputs: Sequence[np.ndarray], keep_all: bool) -> dict[int, np.ndarray]:
        count = len(inputs[0]) if inputs else 1
        values = dict(zip(self.model.inputs, inputs, strict=True))
        for op, run in zip(self.model.ops, self._runs, strict=True):
            given = [
                None if i < 0 else self._constants[i] if i in self._constants else values.get(i)
                for i in op.inputs
            ]
            for index, array in zip(op.outputs, self._results(op, run, given), strict=True):
                if len(array) not in (1, count):
                    raise _broken(op, ValueError(f"{len(array)} results for {count} samples"))
                values[index] = array
            if not keep_all:
                for index in (*op.inputs, *op.outputs):
                    if self._last_uses.get(index, op.index) <= op.index:
                        values.pop(index, None)
        wanted = (*(values if keep_all else ()), *self.model.outputs)
        return {index: self._spread(index, values, count) for index in dict.fromkeys(wanted)}

    def _results(
        self, op: Op, run: Run, given: Sequence[np.ndarray | None]
    ) -> Sequence[np.ndarray]:
        try:
            results = run(given)
        except TfgreenError:
            raise
        except _NUMPY_REFUSES as error:
            raise _broken(op, error) from error
        for index, array in zip(op.outputs, results, strict=True):
            tensor = self.model.tensors[index]
            if array.shape[1:] != tensor.shape or array.dtype != self._dtypes[index]:
                raise InvalidModelError(
                    f"The model's op {op.index} ({op.name}) gives {array.dtype} "
                    f"{array.shape[1:]}; tensor {index} ({tensor.name}) is {tensor.dtype} "
                    f"{tensor.shape}."
                )
        return results

    def _spread(self, index: int, values: dict[int, np.ndarray], count: int) -> np.ndarray:
        """A result for each sample, also where it is the same for all."""
        array = values[index] if index in values else self._constants[index]
        return array if len(array) == count else np.broadcast_to(array, (count, *array.shape[1:]))

    def _checked(self, inputs: Sequence[np.ndarray]) -> int:
        """The number of samples."""
        expected = [self.model.tensors[index] for index in self.model.inputs]
        if len(inputs) != len(expected):
            raise InvalidDataError(
                f"Received {len(inputs)} input arrays; the model has {len(expected)} inputs."
            )
        for array, tensor in zip(inputs, expected, strict=True):
            fits = array.ndim and array.shape[1:] == tensor.shape and array.dtype == tensor.dtype
            if not fits or len(array) != len(inputs[0]) or not len(array):
                raise InvalidDataError(
                    f"Received {array.dtype} {array.shape} for the input {tensor.name!r}; expected "
                    f"{tensor.dtype} (N, {', '.join(map(str, tensor.shape))}), N samples each."
                )
        return len(inputs[0]) if inputs else 1

    def _stored_constants(self) -> dict[int, np.ndarray]:
        """Constants by tensor index, with an axis of one sample in front."""
        used = {index for op in self.model.ops for index in op.inputs if index >= 0}
        used.update(self.model.outputs)
        return {
            index: self.model.constant(index)[np.newaxis]
            for index in used
            if self.model.tensors[index].is_constant
        }

    def _prepared(self, op: Op) -> Run:
        prepare = KERNELS.get(op.name)
        if prepare is None:
            raise UnsupportedModelError(
                f"The model's op {op.index} is {op.name}, which the NumPy interpreter has no "
                f"kernel for. There are {', '.join(sorted(KERNELS))}."
            )
        tensors = self.model.tensors
        node = Node(
            op=op,
            inputs=tuple(tensors[i] if i >= 0 else None for i in op.inputs),
            outputs=tuple(tensors[i] for i in op.outputs),
            constants=tuple(
                self._constants[i][0] if i in self._constants else None for i in op.inputs
            ),
            rounding=self.rounding,
            working_set_bytes=self.working_set_bytes,
            peaks=self._peaks,
        )
        try:
            return prepare(node)
        except TfgreenError:
            raise
        except _NUMPY_REFUSES as error:
            raise _broken(op, error) from error


def _broken(op: Op, error: Exception) -> InvalidModelError:
    return InvalidModelError(
        f"The model's op {op.index} ({op.name}) does not fit its tensors "
        f"({type(error).__name__}: {error})."
    )
