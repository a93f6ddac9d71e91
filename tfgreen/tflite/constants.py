"""Tensors that a file computes from constants alone, computed once, with their steps kept.

A rounded weight is a constant that runs through QUANTIZE and DEQUANTIZE, and often through a
TRANSPOSE or a RESHAPE behind them. The value alone does not tell the step any more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tfgreen.errors import UnsupportedModelError
from tfgreen.flatbuffer import Op, Quantization, TfliteModel
from tfgreen.flatbuffer.facts import BITS_PER_VALUE

_RESHAPES = frozenset({"RESHAPE", "EXPAND_DIMS", "SQUEEZE"})


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor known before any input is.

    real: its values, float32.
    stored: signed integers of symmetric steps: real = stored * scales; None where it has none.
    scales: (k,) float32, k being 1 or the size of `axis`.
    axis: the dimension that has a scale for each index; None for one scale.
    bits: width of `stored`.
    """

    real: np.ndarray
    stored: np.ndarray | None = None
    scales: np.ndarray | None = None
    axis: int | None = None
    bits: int = 0


def computed_constants(model: TfliteModel) -> dict[int, Constant]:
    """By tensor index, the float tensors that rounding, transposing and reshaping make of
    constants. Constants that are only stored are not among them."""
    known: dict[int, Constant] = {}
    for op in model.ops:
        constant = _compute(model, op, known)
        if constant is not None:
            known[op.outputs[0]] = constant
    return known


def _compute(model: TfliteModel, op: Op, known: Mapping[int, Constant]) -> Constant | None:
    if op.name not in _RESHAPES and op.name not in ("QUANTIZE", "DEQUANTIZE", "TRANSPOSE"):
        return None
    source = known.get(op.inputs[0])
    if source is None:
        tensor = model.tensors[op.inputs[0]]
        if op.name != "QUANTIZE" or not tensor.is_constant or tensor.dtype != "float32":
            return None
        source = Constant(model.constant(tensor.index))
    output = model.tensors[op.outputs[0]]
    if op.name == "QUANTIZE":
        return _rounded(source.real, output.quantization, output.dtype)
    if op.name == "DEQUANTIZE":
        return source
    if op.name == "TRANSPOSE":
        return _transposed(source, model.constant(op.inputs[1]))
    return _reshaped(source, output.shape)


def _rounded(real: np.ndarray, steps: Quantization | None, dtype: str) -> Constant:
    """As the kernel rounds: half away from zero. Symmetric steps keep to the narrow range."""
    if steps is None:
        raise UnsupportedModelError("A QUANTIZE op of the file has an output without a scale.")
    bits = BITS_PER_VALUE[dtype]
    lowest = 0 if dtype.startswith("u") else -(1 << (bits - 1))
    points = steps.zero_points - lowest
    shape = [1] * real.ndim
    if steps.axis is not None and steps.scales.size > 1:
        shape[steps.axis] = -1
    scales, points = steps.scales.reshape(shape), points.reshape(shape)
    ratio = real / scales
    counted = np.sign(ratio) * np.floor(np.abs(ratio) + 0.5)
    symmetric = bool((points == 1 << (bits - 1)).all())
    first = -points + (1 if symmetric else 0)
    counted = np.clip(counted, first, (1 << bits) - 1 - points)
    values = (counted * scales).astype(np.float32)
    if not symmetric:
        return Constant(values)
    axis = steps.axis if steps.scales.size > 1 else None
    return Constant(values, counted.astype(np.int16), steps.scales, axis, bits)


def _transposed(source: Constant, order: np.ndarray) -> Constant:
    axes = [int(axis) for axis in order]
    return replace(
        source,
        real=source.real.transpose(axes),
        stored=None if source.stored is None else source.stored.transpose(axes),
        axis=None if source.axis is None else axes.index(source.axis),
    )


def _reshaped(source: Constant, shape: tuple[int, ...]) -> Constant:
    real = source.real.reshape(shape)
    if source.stored is None or source.axis is None:
        stored = None if source.stored is None else source.stored.reshape(shape)
        return replace(source, real=real, stored=stored)
    axis = _moved_axis(source.real.shape, source.axis, shape)
    if axis is None:
        return Constant(real)
    return replace(source, real=real, stored=source.stored.reshape(shape), axis=axis)


def _moved_axis(before: tuple[int, ...], axis: int, after: tuple[int, ...]) -> int | None:
    """Where a dimension is after a reshape that leaves it whole, else None."""
    outer = math.prod(before[:axis])
    for index, size in enumerate(after):
        if size == before[axis] and math.prod(after[:index]) == outer:
            return index
    return None
