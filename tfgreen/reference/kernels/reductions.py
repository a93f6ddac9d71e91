"""MEAN, SUM, REDUCE_MAX, REDUCE_MIN and SOFTMAX."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfgreen.reference import fixed_point
from tfgreen.reference.arithmetic import (
    divide_by_power_of_two,
    high_multiply,
    quantized_multiplier,
    round_half_away,
)
from tfgreen.reference.node import Node, Run
from tfgreen.reference.requantization import Factor

_SCALED_BITS, _SUM_BITS = 5, 12
_LARGEST_BETA = 1e4


def reduced_axes(node: Node) -> tuple[int, ...]:
    """The axes of a reduction, counted without the axis of samples."""
    rank = len(node.input(0).shape)
    axes = [int(axis) for axis in node.constant(1).ravel()]
    node.expect(all(-rank <= axis < rank for axis in axes), f"reduces the axes {axes} of {rank}")
    return tuple(sorted({axis % rank for axis in axes}))


def mean_or_sum(node: Node) -> Run:
    """MEAN and SUM: the exact sum, then one factor, which for MEAN holds the division too.

    Source: TFLite, `kernels/internal/reference/reduce.h`, `QuantizedMeanOrSum`.
    """
    dtype = node.expect_dtypes("int8", "uint8", "int16", "float32")
    axes = reduced_axes(node)
    shifted = tuple(axis + 1 for axis in axes)
    shape = node.output().shape
    if dtype == "float32":
        reduce = np.mean if node.op.name == "MEAN" else np.sum
        return lambda inputs: [
            reduce(inputs[0], axis=shifted, dtype=np.float32).reshape(-1, *shape)
        ]
    data, out = node.input(0), node.output()
    count = math.prod(data.shape[axis] for axis in axes)
    multiplier, exponent = (
        int(part) for part in quantized_multiplier(node.scale(data) / node.scale(out))
    )
    if node.op.name == "MEAN" and count:
        shift = min(count.bit_length() - 1, 32, 31 + exponent)
        multiplier, exponent = (multiplier << shift) // count, exponent - shift
    factor = Factor.from_multiplier(multiplier, exponent, "double")
    if node.rounding == "xnnpack":
        parts = count if node.op.name == "MEAN" else 1
        factor = Factor.of(node.scale(data) / node.scale(out) / max(parts, 1), "even")
    limits = np.iinfo(out.dtype)
    offset, zero_point = count * node.zero_point(data), node.zero_point(out)

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        sums = inputs[0].sum(axis=shifted, dtype=np.int64) - offset
        node.peaks.note(out, sums)
        values = np.clip(factor.multiply(sums) + zero_point, limits.min, limits.max)
        return [values.astype(out.dtype).reshape(-1, *shape)]

    return run


def extreme(node: Node) -> Run:
    """REDUCE_MAX and REDUCE_MIN of stored values."""
    node.expect_dtypes("int8", "uint8", "int16", "int32", "float32")
    axes = tuple(axis + 1 for axis in reduced_axes(node))
    reduce = np.max if node.op.name == "REDUCE_MAX" else np.min
    return lambda inputs: [reduce(inputs[0], axis=axes).reshape(-1, *node.output().shape)]


def softmax(node: Node) -> Run:
    """SOFTMAX over the last axis, on int8 by gemmlowp's fixed point."""
    dtype = node.expect_dtypes("int8", "uint8", "int16", "float32")
    beta = float(node.option("beta", 1.0))
    node.expect(0 < beta < _LARGEST_BETA, f"has the beta {beta}")
    if dtype == "float32":
        return lambda inputs: [_float_softmax(inputs[0], np.float32(beta))]
    if dtype == "int16":
        return _softmax_16(node, beta)
    data, out = node.input(0), node.output()
    real = beta * node.scale(data) * (1 << (31 - _SCALED_BITS))
    multiplier, exponent = quantized_multiplier(min(real, 2.0**31 - 1))
    node.expect(int(exponent) > 0, "has an input scale too small for a SOFTMAX")
    span = ((1 << _SCALED_BITS) - 1) * (1 << (31 - _SCALED_BITS))
    smallest = -int(np.floor(span / 2.0 ** int(exponent)))
    steps = -np.arange(256, dtype=np.int64)
    scaled = high_multiply(np.maximum(steps, smallest) << int(exponent), multiplier)
    table = np.where(steps >= smallest, fixed_point.exp_of_negative(scaled, _SCALED_BITS), 0)
    parts = np.where(steps >= smallest, divide_by_power_of_two(table, _SUM_BITS), 0)
    limits, out_bits = np.iinfo(out.dtype), 8 * np.dtype(out.dtype).itemsize

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        values = inputs[0].astype(np.int64)
        distance = values.max(axis=-1, keepdims=True) - values
        sums = parts[distance].sum(axis=-1, keepdims=True)
        node.peaks.note(out, sums)
        scale, bits_over = fixed_point.reciprocal(sums, _SUM_BITS)
        shift = bits_over + 31 - out_bits
        result = divide_by_power_of_two(high_multiply(scale, table[distance]), shift)
        result = np.where(distance <= -smallest, result, 0) + limits.min
        return [np.clip(result, limits.min, limits.max).astype(out.dtype)]

    return run


def _float_softmax(values: np.ndarray, beta: Any) -> np.ndarray:
    shares = np.exp((values - values.max(axis=-1, keepdims=True)) * beta)
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True), np.float32)


def _softmax_16(node: Node, beta: float) -> Run:
    """SOFTMAX on int16: two tables of 513 knots; `SoftmaxInt16` in TFLite's `softmax.h`."""
    data, out = node.input(0), node.output()
    real = np.float32(node.scale(data)) * np.float32(beta)
    multiplier, exponent = quantized_multiplier(float(real) / (10.0 / 65535.0))
    factor = Factor.from_multiplier(multiplier, exponent, "double")
    exponentials = _knots(np.exp, -10.0, 0.0)
    reciprocals = _knots(lambda x: 1.0 / (1.0 + x), 0.0, 1.0)

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        values = inputs[0].astype(np.int64)
        distance = values - values.max(axis=-1, keepdims=True)
        position = np.clip(factor.multiply(distance) + 32767, -32768, 32767)
        shares = _between(exponentials, position)
        sums = shares.sum(axis=-1, keepdims=True)
        zeros = 31 - np.floor(np.log2(np.maximum(sums, 1))).astype(np.int64)
        shifted = ((sums << (zeros - 1)) + (1 << 13)) >> 14
        centred = np.clip(shifted - ((1 << 15) + (1 << 16)), -32768, 32767)
        shift = 31 - zeros
        product = shares * _between(reciprocals, centred)
        result = (product + (np.int64(1) << (shift - 1))) >> shift
        return [np.clip(result, 0, 32767).astype(out.dtype)]

    return run


def _knots(function: Any, low: float, high: float) -> np.ndarray:
    """513 int16 values of a function, shifted so that the interpolation errs evenly.

    Source: `LUTPopulate` in TFLite's `kernels/internal/common.h`.
    """
    step = (high - low) / 512
    left = low + np.arange(512) * step
    sample = round_half_away(function(left) * 32768.0)
    interpolated = round_half_away((function(left + step) * 32768.0 + sample) / 2)
    middle = round_half_away(function(left + step / 2) * 32768.0)
    bias = round_half_away((interpolated - middle) / 2)
    last = round_half_away(function(np.float64(high)) * 32768.0)
    return np.clip(np.append(sample - bias, last), -32768, 32767).astype(np.int64)


def _between(knots: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Linear interpolation for positions in int16; `LUTLookup` there."""
    index = 256 + (position >> 7)
    offset = position & 0x7F
    base = knots[index]
    slope = knots[index + 1] - base
    return np.asarray(base + ((slope * offset + 64) >> 7))
