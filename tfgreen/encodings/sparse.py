"""The sparse format of `.tflite` files: only the values that are not zero, and where they lie.

A tensor is walked dimension by dimension. Each dimension is dense, or compressed rows (CSR):
`segments` say where the entries of each row begin, `indices` where they lie in it. Blocks of
neighbours may be kept together. The format is described in the schema at `SparsityParameters`,
and by Saday Chou et al., "Format Abstraction for Sparse Tensor Algebra" (arXiv:1804.10112).

Written here is the part of it that pays off for weights: one compressed dimension, walked last,
with or without blocks. Read is all of it.

>>> import numpy as np
>>> array = np.array([[0, 7, 0, 0], [0, 0, 0, 0]], np.int8)
>>> encoded = encode_sparse(array)
>>> encoded.values, encoded.dimension
(array([7], dtype=int8), 1)
>>> bool((decode_sparse(encoded.parameters(), encoded.values, array.shape) == array).all())
True
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfgreen.errors import InvalidModelError
from tfgreen.flatbuffer.schema import load_schema

BLOCK_SIZES = (1, 4, 8, 16)
_LARGEST_DENSE_BYTES = 1 << 31
_TABLE_BYTES = 24
"""About what the flatbuffer needs for one dimension's table."""


@dataclass(frozen=True, eq=False)
class SparseArray:
    """A tensor in the sparse format, one dimension of it compressed.

    Attributes:
        shape: Of the dense tensor.
        dimension: The compressed one, walked last; the others are walked in their order.
        block_size: Neighbours along `dimension` that are stored together if any is not zero.
        segments: Where the blocks of each row begin among `indices`; one more than there are rows.
        indices: Position of each block in its row, in blocks.
        values: The blocks one after the other, in the tensor's dtype.
    """

    shape: tuple[int, ...]
    dimension: int
    block_size: int
    segments: np.ndarray
    indices: np.ndarray
    values: np.ndarray

    @property
    def size_bytes(self) -> int:
        """About what it takes in a file, tables included."""
        stored = (self.values, _narrowed(self.segments), _narrowed(self.indices))
        return sum(array.nbytes for array in stored) + _TABLE_BYTES * (len(self.shape) + 1)

    def parameters(self) -> Any:
        """The schema's `SparsityParametersT`."""
        schema = load_schema()
        rank, blocked = len(self.shape), self.block_size > 1
        walked = [i for i in range(rank) if i != self.dimension] + [self.dimension]
        dense = schema.DimensionType.DENSE
        metadata = [
            schema.DimensionMetadataT(format=dense, denseSize=self.shape[i]) for i in walked[:-1]
        ]
        segments, indices = _narrowed(self.segments), _narrowed(self.indices)
        metadata.append(
            schema.DimensionMetadataT(
                format=schema.DimensionType.SPARSE_CSR,
                arraySegmentsType=_vector_type(segments),
                arraySegments=_vector(segments),
                arrayIndicesType=_vector_type(indices),
                arrayIndices=_vector(indices),
            )
        )
        if blocked:
            metadata.append(schema.DimensionMetadataT(format=dense, denseSize=self.block_size))
        return schema.SparsityParametersT(
            traversalOrder=[*walked, rank] if blocked else walked,
            blockMap=[self.dimension] if blocked else None,
            dimMetadata=metadata,
        )


def encode_sparse(array: np.ndarray) -> SparseArray:
    """The smallest of the layouts known here: every dimension in turn compressed, with blocks.

    A float's -0.0, which folding leaves where the scale is negative, is a zero like any other.
    """
    marked = array != 0
    layouts = [
        (_size_of(marked, dimension, block_size), dimension, block_size)
        for dimension in range(array.ndim)
        for block_size in BLOCK_SIZES
        if array.shape[dimension] % block_size == 0 and array.shape[dimension] > block_size
    ]
    _, dimension, block_size = min(layouts, default=(0, array.ndim - 1, 1))
    return encode_sparse_as(array, dimension, block_size)


def encode_sparse_as(array: np.ndarray, dimension: int, block_size: int = 1) -> SparseArray:
    """One layout: `dimension` compressed, in blocks of `block_size`, which divides its size."""
    blocks = _blocks(array, dimension, block_size)
    marked = _blocks(array != 0, dimension, block_size).any(-1)
    counts = marked.reshape(-1, marked.shape[-1]).sum(-1)
    return SparseArray(
        shape=array.shape,
        dimension=dimension,
        block_size=block_size,
        segments=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        indices=np.nonzero(marked)[-1].astype(np.int64),
        values=np.ascontiguousarray(blocks[marked]).reshape(-1),
    )


def decode_sparse(parameters: Any, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The dense tensor behind any `SparsityParametersT`, whoever wrote it.

    Raises:
        InvalidModelError: the parameters contradict themselves, the shape or the values.
    """
    if math.prod(shape) * values.itemsize > _LARGEST_DENSE_BYTES:
        raise _damaged(f"the shape {shape} is too large")
    walk = _Walk(parameters, shape)
    coordinates = walk.coordinates(len(values))
    dense = np.zeros(shape, values.dtype)
    dense[tuple(coordinates)] = values
    return dense


class _Walk:
    """The order in which `SparsityParametersT` lists its values, checked against a shape."""

    def __init__(self, parameters: Any, shape: tuple[int, ...]) -> None:
        self._order = _integers(parameters.traversalOrder)
        self._blocked = _integers(parameters.blockMap)
        self._metadata = list(parameters.dimMetadata or ())
        self._shape = shape
        levels = len(shape) + len(self._blocked)
        if sorted(self._order) != list(range(levels)) or len(self._metadata) != levels:
            raise _damaged("its order of dimensions fits no tensor of this shape")
        if len(set(self._blocked)) != len(self._blocked) or any(
            not 0 <= i < len(shape) for i in self._blocked
        ):
            raise _damaged("its blocks lie in dimensions that the tensor has not")
        self._most = math.prod(shape)

    def coordinates(self, value_count: int) -> list[np.ndarray]:
        """Where each stored value lies, one array for each dimension of the tensor."""
        levels: dict[int, np.ndarray] = {}
        count = 1
        for dimension, metadata in zip(self._order, self._metadata, strict=True):
            parents, positions = self._expanded(dimension, metadata, count)
            levels = {name: values[parents] for name, values in levels.items()}
            levels[dimension] = positions
            count = len(positions)
        if count != value_count:
            raise _damaged(f"it places {count} values and stores {value_count}")
        return [self._along(levels, dimension) for dimension in range(len(self._shape))]

    def _along(self, levels: dict[int, np.ndarray], dimension: int) -> np.ndarray:
        if dimension not in self._blocked:
            return levels[dimension]
        inner = len(self._shape) + self._blocked.index(dimension)
        return levels[dimension] * self._block_size(inner) + levels[inner]

    def _block_size(self, level: int) -> int:
        return int(self._metadata[self._order.index(level)].denseSize)

    def _length(self, level: int) -> int:
        """How long a dimension, counted in blocks, or a block has to be."""
        if level >= len(self._shape):
            return self._block_size(level)
        if level not in self._blocked:
            return self._shape[level]
        size = self._block_size(len(self._shape) + self._blocked.index(level))
        if size < 1 or self._shape[level] % size:
            raise _damaged(f"blocks of {size} do not fill a dimension of {self._shape[level]}")
        return self._shape[level] // size

    def _expanded(self, level: int, metadata: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
        """For each entry of the next level: its parent, and its position in it."""
        length = self._length(level)
        if metadata.format == load_schema().DimensionType.DENSE:
            if metadata.denseSize != length or count * length > self._most:
                raise _damaged(f"a dimension of {length} is stored as {metadata.denseSize}")
            parents = np.repeat(np.arange(count), length)
            return parents, np.tile(np.arange(length), count)
        segments = np.array(_integers(getattr(metadata.arraySegments, "values", None)), np.int64)
        indices = np.array(_integers(getattr(metadata.arrayIndices, "values", None)), np.int64)
        steps = np.diff(segments)
        if len(segments) != count + 1 or segments[0] != 0 or segments[-1] != len(indices):
            raise _damaged("its rows do not begin and end where its entries do")
        if (steps < 0).any() or (indices < 0).any() or (indices >= length).any():
            raise _damaged("its entries lie outside of their rows")
        return np.repeat(np.arange(count), steps), indices


def _size_of(marked: np.ndarray, dimension: int, block_size: int) -> int:
    """Bytes of a layout for one-byte values, which is the order of layouts for all of them."""
    blocks = _blocks(marked, dimension, block_size).any(-1)
    count, length = int(blocks.sum()), blocks.shape[-1]
    rows = blocks.size // max(1, length)
    return count * (block_size + _width(length - 1)) + (rows + 1) * _width(count)


def _blocks(array: np.ndarray, dimension: int, block_size: int) -> np.ndarray:
    """The array with `dimension` last, as (..., blocks, values of one block)."""
    moved = np.moveaxis(array, dimension, -1)
    return moved.reshape(*moved.shape[:-1], -1, block_size)


def _width(largest: int) -> int:
    return 1 if largest < 1 << 8 else 2 if largest < 1 << 16 else 4


def _narrowed(values: np.ndarray) -> np.ndarray:
    """In the narrowest of the three types that the format has for positions."""
    names = {1: np.uint8, 2: np.uint16, 4: np.int32}
    return values.astype(names[_width(int(values.max(initial=0)))])


def _vector_type(values: np.ndarray) -> int:
    kinds = load_schema().SparseIndexVector
    return int({1: kinds.Uint8Vector, 2: kinds.Uint16Vector, 4: kinds.Int32Vector}[values.itemsize])


def _vector(values: np.ndarray) -> Any:
    schema = load_schema()
    kinds = {1: schema.Uint8VectorT, 2: schema.Uint16VectorT, 4: schema.Int32VectorT}
    return kinds[values.itemsize](values=values)


def _integers(values: Any) -> list[int]:
    return [] if values is None else [int(value) for value in values]


def _damaged(reason: str) -> InvalidModelError:
    return InvalidModelError(f"The .tflite file is damaged: a sparse tensor: {reason}.")
