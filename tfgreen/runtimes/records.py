"""How the child hands arrays back: one file, one record for each sample, read by mapping it.

A record holds every array of one sample, one after the other, each aligned to 16 bytes. The
parent sees each array of all samples at once, as a view with the record's stride, so that
capturing hundreds of tensors costs neither hundreds of files nor memory.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

_ALIGNMENT_BYTES = 16


@dataclass(frozen=True)
class Field:
    """Where one array lies in a record."""

    key: str
    dtype: str
    shape: tuple[int, ...]
    offset: int


@dataclass(frozen=True)
class Layout:
    """The arrays of one record, and its length."""

    fields: tuple[Field, ...]
    record_bytes: int

    @classmethod
    def of(cls, sample: Mapping[str, np.ndarray]) -> Layout:
        """The layout that fits the arrays of one sample."""
        fields, end = [], 0
        for key, array in sample.items():
            fields.append(Field(key, array.dtype.str, array.shape, end))
            end += math.ceil(array.nbytes / _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
        return cls(tuple(fields), end)

    def to_message(self) -> dict[str, Any]:
        """As plain lists and numbers, for JSON."""
        return asdict(self)

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> Layout:
        """The inverse of `to_message`."""
        fields = (Field(**{**f, "shape": tuple(f["shape"])}) for f in message["fields"])
        return cls(tuple(fields), message["record_bytes"])

    def fits(self, sample: Mapping[str, np.ndarray]) -> bool:
        """Whether a sample has the same arrays, of the same shapes and types."""
        return Layout.of(sample) == self

    def write(self, file: BinaryIO, sample: Mapping[str, np.ndarray]) -> None:
        """Append one record."""
        for array in sample.values():
            file.write(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
            file.write(bytes(-array.nbytes % _ALIGNMENT_BYTES))

    def read(self, path: Path, sample_count: int) -> dict[str, np.ndarray]:
        """Key to read-only array of shape (sample_count, *shape)."""
        mapped = _mapped(path)
        return {field.key: self._column(field, mapped, sample_count) for field in self.fields}

    def _column(self, field: Field, data: np.ndarray, sample_count: int) -> np.ndarray:
        dtype, shape = np.dtype(field.dtype), (sample_count, *field.shape)
        if 0 in shape:
            return np.zeros(shape, dtype)
        inner = np.empty(field.shape, dtype).strides
        return np.ndarray(shape, dtype, data, field.offset, (self.record_bytes, *inner))


def _mapped(path: Path) -> np.ndarray:
    if not path.stat().st_size:
        return np.zeros(0, np.uint8)
    if os.name == "nt":  # a mapped file cannot be deleted there
        return np.fromfile(path, np.uint8)
    return np.asarray(np.memmap(path, np.uint8, mode="r"))
