"""Bytes and numbers as the rows of a C array."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from tfgreen.source_text import float32_literal

_BYTES_A_ROW = 16
_NUMBERS_A_ROW = 12
_HEX = tuple(f"0x{value:02x}" for value in range(256))


def byte_rows(content: bytes) -> str:
    """The inside of an array of bytes, 16 a row.

    >>> byte_rows(bytes([1, 255]))
    '    0x01, 0xff,'
    """
    return _rows((_HEX[byte] for byte in content), _BYTES_A_ROW)


def number_rows(values: np.ndarray) -> str:
    """The inside of an array of integers, booleans or float32 numbers.

    >>> number_rows(np.array([1.5, np.nan, -np.inf], np.float32))
    '    1.5f, NAN, -INFINITY,'
    """
    flat = values.ravel()
    if flat.dtype.kind == "f":
        return _rows((_float(float(value)) for value in flat), _NUMBERS_A_ROW)
    return _rows((_integer(int(value)) for value in flat), _NUMBERS_A_ROW)


def _float(value: float) -> str:
    if math.isfinite(value):
        return f"{float32_literal(value)}f"
    return "NAN" if math.isnan(value) else f"{'-' * (value < 0)}INFINITY"


def _integer(value: int) -> str:
    """C has no negative literals: the least one of 32 or 64 bits would not fit before its sign."""
    if value in (-(2**31), -(2**63)):
        return f"({value + 1} - 1)"
    return str(value)


def _rows(literals: Iterable[str], length: int) -> str:
    texts = list(literals)
    rows = (texts[start : start + length] for start in range(0, len(texts), length))
    return "\n".join(f"    {', '.join(row)}," for row in rows)
