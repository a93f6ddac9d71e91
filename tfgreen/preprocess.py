"""What an application must know to feed a .tflite file and to read its answers."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from tfgreen.flatbuffer import Tensor, TfliteModel
from tfgreen.records import Document, Record

SCHEMA_VERSION: Literal[1] = 1


STORED_RANGES = {
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
}
"""Least and greatest stored value of each dtype that is quantized at the boundary."""


class BoundaryTensor(Record):
    """One input or output of the file, in graph order.

    `real = scale * (stored - zero_point)`, and back `stored = round(real / scale) + zero_point`
    in float32, halves to even, clipped to the dtype. Both are None for plain numbers.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None

    @property
    def real_range(self) -> tuple[float, float] | None:
        """Least and greatest real number that the tensor can hold; None for plain numbers.

        >>> tensor = BoundaryTensor(name="x", shape=(1,), dtype="int8", scale=0.5, zero_point=-128)
        >>> tensor.real_range
        (0.0, 127.5)
        """
        if self.scale is None or self.zero_point is None:
            return None
        low, high = STORED_RANGES[self.dtype]
        return self.scale * (low - self.zero_point), self.scale * (high - self.zero_point)


class Preprocess(Document):
    """The inputs and outputs of a file, and the names of its classes in output order."""

    title: ClassVar[str] = "preprocess record of tfgreen"
    remedy: ClassVar[str] = "Export again."

    schema_version: Literal[1] = SCHEMA_VERSION
    inputs: tuple[BoundaryTensor, ...]
    outputs: tuple[BoundaryTensor, ...]
    labels: tuple[str, ...] | None = None

    @classmethod
    def of(cls, model: TfliteModel, labels: tuple[str, ...] | None = None) -> Self:
        """Read the record off a file."""
        return cls(
            inputs=_boundary(model, model.input_names, model.inputs),
            outputs=_boundary(model, model.output_names, model.outputs),
            labels=labels,
        )


def _boundary(
    model: TfliteModel, names: tuple[str, ...], indices: tuple[int, ...]
) -> tuple[BoundaryTensor, ...]:
    return tuple(_tensor(model.tensors[i], n) for i, n in zip(indices, names, strict=True))


def _tensor(tensor: Tensor, name: str) -> BoundaryTensor:
    quantization = tensor.quantization if tensor.dtype in STORED_RANGES else None
    return BoundaryTensor(
        name=name,
        shape=tensor.shape,
        dtype=tensor.dtype,
        scale=None if quantization is None else float(quantization.scales[0]),
        zero_point=None if quantization is None else int(quantization.zero_points[0]),
    )
