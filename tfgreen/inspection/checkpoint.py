"""The variables of a TensorFlow checkpoint, read without TensorFlow.

The index is a table in LevelDB's format (https://github.com/google/leveldb/blob/main/doc/
table_format.md), uncompressed as TensorFlow writes it; its values are BundleEntryProto messages
(tensorflow/core/protobuf/tensor_bundle.proto) that say where in the data files an array lies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfgreen.errors import InvalidModelError
from tfgreen.models.protobuf import Message, varint
from tfgreen.models.saved_model import TENSORFLOW_DTYPES

_FOOTER_BYTES, _HANDLES_BYTES = 48, 40
_MAGIC = bytes.fromhex("57fb808b247547db")
_RESTART_BYTES = 4
_NOT_IN_NUMPY = ("string", "bfloat16")


@dataclass(frozen=True)
class Variable:
    """One array of a checkpoint: name, shape, NumPy dtype name, and where it lies."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    path: Path
    offset: int

    @property
    def value_count(self) -> int:
        """Product of the shape."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Bytes of the array in its data file."""
        return self.value_count * np.dtype(self.dtype).itemsize

    def values(self) -> np.ndarray:
        """The array itself; InvalidModelError if the data file is too short."""
        if self.offset + self.size_bytes > self.path.stat().st_size:
            raise InvalidModelError(f"variable '{self.name}' ends after {self.path.name}")
        dtype = np.dtype(self.dtype).newbyteorder("<")
        flat = np.fromfile(self.path, dtype, self.value_count, offset=self.offset)
        return flat.reshape(self.shape)


def read_checkpoint(prefix: Path) -> tuple[Variable, ...]:
    """The numeric variables of a checkpoint in the order of their names.

    Args:
        prefix: the path without `.index` and `.data-…`.

    Raises:
        InvalidModelError: the index is damaged.
    """
    content = memoryview(prefix.with_name(f"{prefix.name}.index").read_bytes())
    entries = dict(_table(content))
    shards = Message(memoryview(entries.pop(b"", b""))).number(1)
    found = (_variable(prefix, key, Message(memoryview(v)), shards) for key, v in entries.items())
    return tuple(variable for variable in found if variable is not None)


def _variable(prefix: Path, key: bytes, entry: Message, shards: int) -> Variable | None:
    dtype = TENSORFLOW_DTYPES.get(entry.number(1))
    if dtype is None or dtype in _NOT_IN_NUMPY:
        return None
    return Variable(
        name=key.decode("utf-8", "replace"),
        shape=tuple(dimension.number(1) for dimension in entry.message(2).messages(2)),
        dtype=dtype,
        path=prefix.with_name(f"{prefix.name}.data-{entry.number(3):05d}-of-{shards:05d}"),
        offset=entry.number(4),
    )


def _table(content: memoryview) -> Iterator[tuple[bytes, bytes]]:
    footer = content[-_FOOTER_BYTES:]
    if bytes(footer[_HANDLES_BYTES:]) != _MAGIC:
        raise InvalidModelError("the checkpoint's index has no end: it is cut off")
    position = 0
    for _ in range(2):  # the handle of the meta index, not needed
        _, position = varint(footer, position)
    for _, handle in _block(content, footer[position:]):
        yield from _block(content, memoryview(handle))


def _block(content: memoryview, handle: memoryview) -> Iterator[tuple[bytes, bytes]]:
    """The entries of a block; each key shares its beginning with the key before it."""
    offset, position = varint(handle, 0)
    size_bytes, _ = varint(handle, position)
    block = content[offset : offset + size_bytes]
    if len(block) < size_bytes or size_bytes < _RESTART_BYTES or content[offset + size_bytes]:
        raise InvalidModelError("a block of the checkpoint's index is cut off or compressed")
    restarts = int.from_bytes(block[-_RESTART_BYTES:], "little")
    end = size_bytes - _RESTART_BYTES * (restarts + 1)
    key, position = b"", 0
    while position < end:
        shared, position = varint(block, position)
        own, position = varint(block, position)
        value_bytes, position = varint(block, position)
        key = key[:shared] + bytes(block[position : position + own])
        yield key, bytes(block[position + own : position + own + value_bytes])
        position += own + value_bytes
