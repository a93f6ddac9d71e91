"""The plain facts of a .tflite file: tensors, their quantization, and ops."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

BITS_PER_VALUE = {
    "int2": 2, "int4": 4, "uint4": 4, "int8": 8, "uint8": 8, "bool": 8,
    "float8_e4m3fn": 8, "float8_e5m2": 8, "int16": 16, "uint16": 16, "float16": 16,
    "bfloat16": 16, "int32": 32, "uint32": 32, "float32": 32, "int64": 64, "uint64": 64,
    "float64": 64, "complex64": 64, "complex128": 128,
}  # fmt: skip
"""Width of one stored value; strings, resources and variants have none."""

FLOAT_DTYPES = frozenset({"float16", "bfloat16", "float32", "float64"})


@dataclass(frozen=True, eq=False)
class Quantization:
    """How stored integers stand for real numbers: `real = scale * (stored - zero_point)`.

    Attributes:
        scales: float32 of shape (k,); k is 1 per tensor, else the number of channels (or, with
            `block_size`, of blocks).
        zero_points: int64 of shape (k,).
        axis: The quantized dimension, or None per tensor.
        block_size: Values that share one scale along `axis` in blockwise quantization; 0 else.
    """

    scales: np.ndarray
    zero_points: np.ndarray
    axis: int | None
    block_size: int = 0


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor of the first subgraph.

    Attributes:
        index: Its index in the subgraph; what ops and runtimes call it by.
        name: As in the file; not always unique.
        shape: Static shape; a dimension that may change is 1 here.
        dtype: "int8", "float32", "int4", "bool", ... as the schema spells them, in lower case.
        quantization: None for a tensor of plain numbers.
        is_constant: The file stores its values.
        is_variable: State that lives from one run to the next.
        is_external: Its values lie outside the flatbuffer (`Buffer.offset`, or another file).
        is_sparse: Its values are stored in a sparse format.
        size_bytes: Bytes stored in the file; 0 for activations.
        has_dynamic_shape: Some dimension is unknown until run time.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None
    is_constant: bool
    is_variable: bool
    is_external: bool
    is_sparse: bool
    size_bytes: int
    has_dynamic_shape: bool

    @property
    def value_count(self) -> int:
        """Product of the shape; 1 for a scalar."""
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False)
class Op:
    """One operator of the first subgraph.

    Attributes:
        index: Its position in execution order.
        name: "CONV_2D", ... ; "CUSTOM:<code>" for custom ops; "FLEX:<TensorFlow op>" for ops
            that run through TensorFlow's Flex delegate.
        version: Version of the operator that the file asks for.
        inputs: Tensor indices; -1 is an absent optional input.
        outputs: Tensor indices.
        options: The schema's options object (`Conv2DOptionsT`, ...), or None. Do not change it.
    """

    index: int
    name: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any


def stored_size_bytes(dtype: str, value_count: int) -> int | None:
    """Bytes that `value_count` values of `dtype` take in a file; None if that is not fixed.

    >>> stored_size_bytes("int4", 3), stored_size_bytes("float32", 3)
    (2, 12)
    """
    bits = BITS_PER_VALUE.get(dtype)
    return None if bits is None else (bits * value_count + 7) // 8
