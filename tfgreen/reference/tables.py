"""Functions of one stored value, worked out once for every value there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfgreen.reference.arithmetic import Integers, round_half_away
from tfgreen.reference.node import Node, Run

Function = Callable[[Integers], npt.ArrayLike]
"""Stored integers to stored integers, not yet held within the output's range."""

Real = Callable[[np.ndarray], np.ndarray]
"""A real function on float32."""


def table_of(function: Function, in_dtype: str, out_dtype: str) -> np.ndarray:
    """The function's values for the stored integers 0, 1, ... -2, -1, in the output's dtype."""
    unsigned = np.arange(1 << 8 * np.dtype(in_dtype).itemsize)
    values = unsigned.astype(f"u{np.dtype(in_dtype).itemsize}").view(in_dtype).astype(np.int64)
    return np.asarray(function(values)).astype(out_dtype)


def look_up(table: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Each stored value replaced by its entry in a `table_of`.

    >>> look_up(table_of(np.abs, "int8", "int8"), np.array([-3, 4], np.int8)).tolist()
    [3, 4]
    """
    if table.dtype.itemsize == 1 and values.dtype.itemsize == 1:
        translated = np.ascontiguousarray(values).tobytes().translate(table.tobytes())
        return np.frombuffer(translated, table.dtype).reshape(values.shape)
    return table[values.view(f"u{values.dtype.itemsize}")]


def by_table(node: Node, function: Function) -> Run:
    """A kernel of one input and one output that looks the function up."""
    data, out = node.input(0), node.output()
    low, high = np.iinfo(out.dtype).min, np.iinfo(out.dtype).max
    node.expect(data.shape == out.shape, f"turns {data.shape} into {out.shape}")
    table = table_of(lambda x: np.clip(function(x), low, high), data.dtype, out.dtype)

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        return [look_up(table, inputs[0])]

    return run


def of_real(node: Node, function: Real) -> Function:
    """A real function on stored integers, in float32, rounded half away from zero.

    Source: `PopulateLookupTable` in TFLite's `kernels/activations.cc`, `LUTPopulate` in
    `kernels/internal/common.h`.
    """
    data, out = node.input(0), node.output()
    scale, zero_point = np.float32(node.scale(data)), node.zero_point(data)
    inverse = np.float32(1.0) / np.float32(node.scale(out))
    out_zero_point = node.zero_point(out)
    limits = np.iinfo(out.dtype)

    def stored(values: Integers) -> npt.ArrayLike:
        reals = scale * (values - zero_point).astype(np.float32)
        with np.errstate(all="ignore"):
            rescaled = function(reals).astype(np.float32) * inverse
        finite = np.nan_to_num(rescaled, nan=0.0, posinf=1e9, neginf=-1e9)
        held = np.clip(round_half_away(finite) + out_zero_point, limits.min, limits.max)
        return np.asarray(held.astype(np.int64))

    return stored


def correctly_rounded(function: Callable[[np.ndarray], np.ndarray]) -> Real:
    """A float64 function as the C library's float32 one: its result rounded once."""
    return lambda values: function(values.astype(np.float64)).astype(np.float32)
