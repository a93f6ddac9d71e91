"""What a kernel is given: one op with its tensors, checked, and where to report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfgreen.errors import InvalidModelError, UnsupportedModelError
from tfgreen.flatbuffer import Op, Tensor
from tfgreen.reference.requantization import Rounding, activation_range

Run = Callable[[Sequence[Any]], Sequence[np.ndarray]]
"""Inputs to outputs. Each array has a leading axis of samples; constants have 1 there, an absent
input is None."""


@dataclass(frozen=True)
class Node:
    """One op of a file.

    Attributes:
        op: The op.
        inputs: Its input tensors; None where an optional one is absent.
        outputs: Its output tensors.
        constants: The stored values of each input, None for those that are computed.
        rounding: Whose arithmetic to reproduce.
        working_set_bytes: What a kernel may allocate.
        peaks: Where kernels tell their largest accumulators while somebody watches.
    """

    op: Op
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    constants: tuple[np.ndarray | None, ...]
    rounding: Rounding
    working_set_bytes: int
    peaks: Peaks = field(default_factory=lambda: Peaks())

    @property
    def where(self) -> str:
        """How messages call it."""
        return f"op {self.op.index} ({self.op.name})"

    def invalid(self, told: str) -> InvalidModelError:
        """An error for an op that cannot be what it says."""
        return InvalidModelError(f"The model's {self.where} {told}.")

    def unsupported(self, told: str) -> UnsupportedModelError:
        """An error for a sound op that the interpreter does not know."""
        return UnsupportedModelError(
            f"The model's {self.where} {told}: the NumPy interpreter has no such kernel."
        )

    def input(self, position: int) -> Tensor:
        """An input that has to be there."""
        tensor = self.inputs[position] if position < len(self.inputs) else None
        if tensor is None:
            raise self.invalid(f"has no input {position}, which it needs")
        return tensor

    def output(self) -> Tensor:
        """Its first output."""
        if not self.outputs:
            raise self.invalid("has no output")
        return self.outputs[0]

    def has(self, position: int) -> bool:
        """Whether an optional input is there."""
        return position < len(self.inputs) and self.inputs[position] is not None

    def constant(self, position: int) -> np.ndarray:
        """The stored values of an input that has to be a constant."""
        self.input(position)
        values = self.constants[position]
        if values is None:
            raise self.unsupported(f"computes its input {position} while it runs")
        return values

    def option(self, name: str, default: Any = None) -> Any:
        """One of the op's options; the default where the file has none."""
        value = getattr(self.op.options, name, None)
        return default if value is None else value

    def scale(self, tensor: Tensor) -> float:
        """The one scale of a tensor, a float32 as a float."""
        return float(self._per_tensor(tensor).scales[0])

    def zero_point(self, tensor: Tensor) -> int:
        """The one zero point of a tensor."""
        return int(self._per_tensor(tensor).zero_points[0])

    def scales(self, tensor: Tensor) -> np.ndarray:
        """Every scale of a tensor, float32."""
        if tensor.quantization is None:
            raise self._unquantized(tensor)
        if tensor.quantization.block_size:
            raise self.unsupported(f"reads {tensor.name!r}, which is quantized in blocks")
        return self._sound(tensor, tensor.quantization.scales)

    @property
    def scale_precision(self) -> type[np.floating[Any]]:
        """What most kernels divide scales in: LiteRT's float32, TensorFlow Lite Micro's float64."""
        return np.float64 if self.rounding == "micro" else np.float32

    def is_quantized(self, tensor: Tensor) -> bool:
        """Whether its integers stand for real numbers."""
        return tensor.quantization is not None and tensor.dtype in ("int8", "uint8", "int16")

    def activation_range(self) -> tuple[int, int]:
        """Smallest and largest stored value of the output, the fused activation included."""
        tensor = self.output()
        activation = int(self.option("fusedActivationFunction", 0))
        if activation not in (0, 1, 2, 3):
            raise self.unsupported(f"fuses the activation {activation}")
        return activation_range(
            activation, self.scale(tensor), self.zero_point(tensor), tensor.dtype
        )

    def expect(self, condition: bool, told: str) -> None:
        """Refuse the op unless a fact about it holds."""
        if not condition:
            raise self.invalid(told)

    def expect_dtypes(self, *dtypes: str) -> str:
        """The dtype of the first input, which has to be one of these."""
        dtype = self.input(0).dtype
        if dtype not in dtypes:
            raise self.unsupported(f"works on {dtype}; there are {', '.join(dtypes)}")
        return dtype

    def _per_tensor(self, tensor: Tensor) -> Any:
        if tensor.quantization is None:
            raise self._unquantized(tensor)
        if tensor.quantization.scales.size != 1:
            raise self.invalid(f"reads {tensor.name!r}, which has more than one scale")
        self._sound(tensor, tensor.quantization.scales)
        bounds = np.iinfo(tensor.dtype) if tensor.dtype in ("int8", "uint8", "int16") else None
        zero_point = int(tensor.quantization.zero_points[0])
        if bounds is not None and not bounds.min <= zero_point <= bounds.max:
            raise self.invalid(f"reads {tensor.name!r}, whose zero point {zero_point} is no value")
        return tensor.quantization

    def _sound(self, tensor: Tensor, scales: np.ndarray) -> np.ndarray:
        if not np.all(np.isfinite(scales) & (scales > 0)):
            raise self.invalid(f"reads {tensor.name!r}, which has a scale that is no scale")
        return scales

    def _unquantized(self, tensor: Tensor) -> InvalidModelError:
        return self.invalid(f"needs the quantization of tensor {tensor.name!r}, which has none")


class Peaks:
    """The largest accumulator of each op's output, while somebody watches."""

    def __init__(self) -> None:
        self.watched = False
        self.largest: dict[int, int] = {}

    def note(self, tensor: Tensor, accumulators: np.ndarray, offsets: Any = 0) -> None:
        """Remember the largest absolute value of `accumulators + offsets` for a tensor."""
        if self.watched and accumulators.size:
            totals = accumulators + offsets
            largest = max(int(totals.max()), -int(totals.min()))
            self.largest[tensor.index] = max(largest, self.largest.get(tensor.index, 0))
