"""Logistic and tangent in 16-bit fixed point, as gemmlowp computes them with `FixedPoint<int16>`.

The algorithm is that of `tfgreen.reference.fixed_point`, with 15 bits in place of 31; constants are
those of 32 bits, rounded. LiteRT's LSTM uses it.

>>> round(float(logistic(np.array([1 << 12]), 3)[0]) / 2**15, 3)  # 1, with three integer bits
0.731
"""

from __future__ import annotations

import numpy as np

from tfgreen.reference.arithmetic import Integers, divide_by_power_of_two
from tfgreen.reference.fixed_point import FACTORS

_MAX = (1 << 15) - 1
_MIN = -(1 << 15)
_EXP_OF_MINUS_EIGHTH = 28918
_THIRD = 10923
_TWICE_RECIPROCAL_START = 23130
_RECIPROCAL_SLOPE = -15420


def _multiply(a: Integers | int, b: Integers | int) -> Integers:
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    return np.minimum((product + (1 << 14)) >> 15, _MAX)


def _held(values: Integers) -> Integers:
    return np.clip(values, _MIN, _MAX)


def exp_of_negative(raw: Integers, integer_bits: int) -> Integers:
    """`exp` of numbers <= 0; the result has no integer bits."""
    raw = np.asarray(raw, np.int64)
    fractional_bits = 15 - integer_bits
    quarter = 1 << (fractional_bits - 2)
    remainder = (raw & (quarter - 1)) - quarter
    x = _held(remainder << integer_bits) + (1 << 12)
    x2 = _multiply(x, x)
    x3, x4 = _multiply(x2, x), _multiply(x2, x2)
    tail = _multiply(divide_by_power_of_two(x4, 2) + x3, _THIRD) + x2
    term = _multiply(_EXP_OF_MINUS_EIGHTH, x + divide_by_power_of_two(tail, 1))
    result = _held(_EXP_OF_MINUS_EIGHTH + term)
    rest = remainder - raw
    for exponent, factor in FACTORS:
        if integer_bits > exponent:
            bit = 1 << (fractional_bits + exponent)
            rounded = int(divide_by_power_of_two(factor, 16))
            result = np.where(rest & bit, _multiply(result, rounded), result)
    return np.where(raw == 0, _MAX, result)


def _newton(raw: Integers) -> Integers:
    total = raw + _MAX
    half = np.sign(total) * ((np.abs(total) + 1) >> 1)
    x = _TWICE_RECIPROCAL_START + _multiply(half, _RECIPROCAL_SLOPE)
    for _ in range(3):
        rest = (1 << 13) - _multiply(half, x)
        x = x + _held(_multiply(x, rest) << 2)
    return x


def logistic(raw: Integers, integer_bits: int) -> Integers:
    """`1 / (1 + exp(-x))`; the result has no integer bits."""
    raw = np.asarray(raw, np.int64)
    positive = _held(_newton(exp_of_negative(-np.abs(raw), integer_bits)) << 1)
    result = np.where(raw > 0, positive, _MAX - positive)
    return np.where(raw == 0, 1 << 14, result)


def tanh(raw: Integers, integer_bits: int) -> Integers:
    """The hyperbolic tangent; the result has no integer bits."""
    raw = np.asarray(raw, np.int64)
    size = _held((_newton(exp_of_negative(-np.abs(raw), integer_bits + 1)) - (1 << 13)) << 2)
    return np.where(raw == 0, 0, np.where(raw < 0, -size, size))
