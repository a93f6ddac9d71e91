"""Exponential, reciprocal, logistic and tangent in fixed point, as gemmlowp computes them.

A number is an int32 `raw` with some integer bits: `real = raw * 2**(integer_bits - 31)`. Source:
gemmlowp, `fixedpoint/fixedpoint.h`, and TFLite's `GetReciprocal` in `kernels/internal/common.h`.

>>> one = 1 << 26  # with five integer bits
>>> float(exp_of_negative(np.array([-one]), 5)[0]) / 2**31
0.367879...
>>> round(float(logistic(np.array([1 << 27]), 4)[0]) / 2**31, 6)  # 1, with four integer bits
0.731059
>>> round(float(tanh(np.array([-(1 << 27)]), 4)[0]) / 2**31, 6)
-0.761594
"""

from __future__ import annotations

import numpy as np

from tfgreen.reference.arithmetic import (
    INT32_MAX,
    INT32_MIN,
    Integers,
    as_int32,
    divide_by_power_of_two,
    high_multiply,
)

_EXP_OF_MINUS_EIGHTH = 1895147668
_THIRD = 715827883
FACTORS = (  # exp(-2**k) for k = -2 ... 4, without integer bits
    (-2, 1672461947), (-1, 1302514674), (0, 790015084), (1, 290630308), (2, 39332535),
    (3, 720401), (4, 242),
)  # fmt: skip
_TWICE_RECIPROCAL_START = 1515870810  # 48/17 with two integer bits
_RECIPROCAL_SLOPE = -1010580540  # -32/17 with two integer bits
_HALF_ROOT_OF_TWO = 1518500250


def saturating_shift_left(values: Integers, exponent: int) -> Integers:
    """`values * 2**exponent`, held within int32; a negative exponent divides, rounding.

    >>> saturating_shift_left(np.array([1 << 30, 3]), 1).tolist()
    [2147483647, 6]
    """
    if exponent <= 0:
        return divide_by_power_of_two(values, -exponent)
    return np.clip(np.asarray(values, np.int64) << exponent, INT32_MIN, INT32_MAX)


def exp_of_negative(raw: Integers, integer_bits: int) -> Integers:
    """`exp` of numbers <= 0; the result has no integer bits."""
    raw = np.asarray(raw, np.int64)
    fractional_bits = 31 - integer_bits
    quarter = np.int64(1) << (fractional_bits - 2)
    remainder = (raw & (quarter - 1)) - quarter
    result = _exp_of_quarter(as_int32(remainder << integer_bits))
    rest = remainder - raw
    for exponent, factor in FACTORS:
        if integer_bits > exponent:
            bit = np.int64(1) << (fractional_bits + exponent)
            result = np.where(rest & bit, high_multiply(result, factor), result)
    return np.where(raw == 0, INT32_MAX, result)


def _exp_of_quarter(raw: Integers) -> Integers:
    """`exp` on [-1/4, 0), both without integer bits: a Taylor series around -1/8."""
    x = raw + (1 << 28)
    x2 = high_multiply(x, x)
    x3 = high_multiply(x2, x)
    x4_over_4 = divide_by_power_of_two(high_multiply(x2, x2), 2)
    tail = high_multiply(x4_over_4 + x3, _THIRD) + x2
    term = high_multiply(_EXP_OF_MINUS_EIGHTH, x + divide_by_power_of_two(tail, 1))
    return np.minimum(_EXP_OF_MINUS_EIGHTH + term, INT32_MAX)


def reciprocal_of_one_plus(raw: Integers) -> Integers:
    """`1 / (1 + x)` for x in [0, 1), both without integer bits: three Newton steps.

    >>> round(float(reciprocal_of_one_plus(np.array([1 << 30]))[0]) / 2**31, 8)
    0.66666667
    """
    return np.clip(_newton(raw) << 1, INT32_MIN, INT32_MAX)


def one_minus_over_one_plus(raw: Integers) -> Integers:
    """`(1 - x) / (1 + x)` for x in [0, 1), both without integer bits."""
    return np.clip((_newton(raw) - (1 << 29)) << 2, INT32_MIN, INT32_MAX)


def _newton(raw: Integers) -> Integers:
    """`1 / (1 + x)` with two integer bits, halved: the value of the iteration itself."""
    half = _half_sum(np.asarray(raw, np.int64), INT32_MAX)
    x = _TWICE_RECIPROCAL_START + high_multiply(half, _RECIPROCAL_SLOPE)
    for _ in range(3):
        rest = (1 << 29) - high_multiply(half, x)
        x = x + saturating_shift_left(high_multiply(x, rest), 2)
    return x


def _half_sum(a: Integers, b: int) -> Integers:
    total = a + b
    sign = np.where(total >= 0, 1, -1)
    total = total + sign
    return np.sign(total) * (np.abs(total) >> 1)


def reciprocal(raw: Integers, integer_bits: int) -> tuple[Integers, Integers]:
    """`1 / x` for x > 0 as (scale without integer bits, bits over the unit).

    >>> scale, bits = reciprocal(np.array([1 << 20]), 12)  # two
    >>> float(scale[0]) / 2**31, int(bits[0])
    (0.99..., 1)
    """
    raw = np.asarray(raw, np.int64)
    leading_zeros = 31 - np.floor(np.log2(np.maximum(raw, 1).astype(np.float64))).astype(np.int64)
    normalized = as_int32((raw << leading_zeros) - (1 << 31))
    return reciprocal_of_one_plus(normalized), integer_bits - leading_zeros


def logistic(raw: Integers, integer_bits: int) -> Integers:
    """`1 / (1 + exp(-x))`; the result has no integer bits."""
    raw = np.asarray(raw, np.int64)
    positive = reciprocal_of_one_plus(exp_of_negative(-np.abs(raw), integer_bits))
    result = np.where(raw > 0, positive, INT32_MAX - positive)
    return np.where(raw == 0, 1 << 30, result)


def tanh(raw: Integers, integer_bits: int) -> Integers:
    """The hyperbolic tangent; the result has no integer bits."""
    raw = np.asarray(raw, np.int64)
    size = one_minus_over_one_plus(exp_of_negative(-np.abs(raw), integer_bits + 1))
    return np.where(raw == 0, 0, np.where(raw < 0, -size, size))


def inverse_root(values: Integers) -> tuple[Integers, Integers]:
    """`1 / sqrt(x)` of integers x >= 1 below 2**29 as (multiplier, exponent).

    >>> multiplier, exponent = inverse_root(np.array([4]))
    >>> round(float(multiplier[0]) * 2.0 ** (int(exponent[0]) - 31), 6)
    0.5
    """
    values = np.asarray(values, np.int64)
    leading_zeros = 31 - np.floor(np.log2(np.maximum(values, 1))).astype(np.int64)
    pairs = (leading_zeros - 1) // 2 - 1
    shift = 11 - pairs
    x_in = (values << (2 * pairs)) >> 1
    half_input = divide_by_power_of_two(x_in, 1)
    half_three = (1 << 28) + (1 << 27)
    x = np.full_like(values, 1 << 28)  # one, with three integer bits
    for _ in range(5):
        cube = saturating_shift_left(high_multiply(high_multiply(x, x), x), 6)
        step = as_int32(high_multiply(half_three, x) - high_multiply(half_input, cube))
        x = saturating_shift_left(step, 3)
    x = high_multiply(x, _HALF_ROOT_OF_TWO)
    x = np.where(shift < 0, x << np.maximum(-shift, 0), x)
    exponent = -np.maximum(shift, 0)
    return np.where(values <= 1, INT32_MAX, x), np.where(values <= 1, 0, exponent)
