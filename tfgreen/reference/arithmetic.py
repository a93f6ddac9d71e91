"""The integer arithmetic of TFLite's 8-bit quantization, on NumPy arrays.

A real factor is stored as a 32-bit multiplier and an exponent, `real = multiplier * 2**(exponent
- 31)`, with the multiplier in [2**30, 2**31). Kernels multiply by it in one of five ways, which
differ only next to a tie:

* `double`: a high multiplication that rounds half up, then a shift that rounds half away from
  zero. Most kernels of LiteRT's reference set and of TensorFlow Lite Micro. Source: gemmlowp,
  `fixedpoint/fixedpoint.h`; TFLite, `kernels/internal/common.h`, without TFLITE_SINGLE_ROUNDING.
* `single`: one shift that rounds half up; the same file with TFLITE_SINGLE_ROUNDING.
* `wide`: 64-bit accumulators of 16-bit activations, the multiplier cut to 16 bits; same file.
* `away`: the factor as a float64, rounded half away from zero; the reference set's
  FULLY_CONNECTED, `kernels/internal/reference/integer_ops/fully_connected.h`.
* `even`: the factor as a float32, rounded half to even: XNNPACK, `qs8-requantization`.

Accumulators 100 and 101 times 0.0075 are 0.75 and 0.7575; 200 times it is 1.5, a tie:

>>> multiplier, exponent = quantized_multiplier(0.0075)
>>> int(multiplier), int(exponent)
(2061584302, -7)
>>> multiply_double(np.array([100, 101, 200, -200]), multiplier, exponent).tolist()
[1, 1, 2, -2]
>>> multiply_single(np.array([100, 101, 200, -200]), multiplier, exponent).tolist()
[1, 1, 1, -1]
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1


def quantized_multiplier(real: npt.ArrayLike) -> tuple[Integers, Integers]:
    """Factors as (multiplier, exponent), int64 arrays; factors below 2**-32 become 0.

    Source: `QuantizeMultiplier` in TFLite's `kernels/internal/quantization_util.cc`.

    >>> [int(part) for part in quantized_multiplier(0.5)]
    [1073741824, 0]
    """
    fraction, exponent = np.frexp(np.asarray(real, np.float64))
    multiplier = round_half_away(fraction * (1 << 31)).astype(np.int64)
    exponent = exponent.astype(np.int64)
    carried = multiplier == 1 << 31
    multiplier = np.where(carried, multiplier >> 1, multiplier)
    exponent = np.where(carried, exponent + 1, exponent)
    vanishing = exponent < -31
    return np.where(vanishing, 0, multiplier), np.where(vanishing, 0, exponent)


def round_half_away(values: npt.ArrayLike) -> Floats:
    """`std::round`: to the nearest integer, ties away from zero.

    >>> round_half_away([2.5, -2.5, 0.49999999999999994]).tolist()
    [3.0, -3.0, 0.0]
    """
    values = np.asarray(values, np.float64)
    whole = np.trunc(values)
    return np.asarray(whole + np.trunc(2.0 * (values - whole)))


def as_int32(values: npt.ArrayLike) -> Integers:
    """What is left of integers in 32 bits, two's complement.

    >>> as_int32([1 << 31, -1]).tolist()
    [-2147483648, -1]
    """
    return np.asarray(values, np.int64).astype(np.int32).astype(np.int64)


def high_multiply(a: npt.ArrayLike, b: npt.ArrayLike) -> Integers:
    """Saturating rounding doubling high multiply: `a * b / 2**31` for int32, ties up.

    gemmlowp adds a nudge of 2**30, or 1 - 2**30 for negative products, and divides truncating:
    the same as adding 2**30 and shifting. Only `(-2**31)**2` overflows, and saturates.

    >>> high_multiply([3, -3, INT32_MIN], [1 << 30, 1 << 30, INT32_MIN]).tolist()
    [2, -1, 2147483647]
    """
    product = np.asarray(a, np.int64) * np.asarray(b, np.int64)
    return np.minimum((product + (1 << 30)) >> 31, INT32_MAX)


def divide_by_power_of_two(values: npt.ArrayLike, exponent: npt.ArrayLike) -> Integers:
    """`values / 2**exponent`, ties away from zero; gemmlowp's `RoundingDivideByPOT`.

    >>> divide_by_power_of_two([6, -6, 5], 2).tolist()
    [2, -2, 1]
    """
    values, exponent = np.asarray(values, np.int64), np.asarray(exponent, np.int64)
    mask = (np.int64(1) << exponent) - 1
    threshold = (mask >> 1) + (values < 0)
    return np.asarray((values >> exponent) + ((values & mask) > threshold))


def multiply_double(
    values: npt.ArrayLike, multiplier: npt.ArrayLike, exponent: npt.ArrayLike
) -> Integers:
    """`MultiplyByQuantizedMultiplier` with two roundings; a left shift wraps as in C."""
    exponent = np.asarray(exponent, np.int64)
    shifted = as_int32(np.asarray(values, np.int64) << np.maximum(exponent, 0))
    return divide_by_power_of_two(high_multiply(shifted, multiplier), np.maximum(-exponent, 0))


def multiply_single(
    values: npt.ArrayLike, multiplier: npt.ArrayLike, exponent: npt.ArrayLike
) -> Integers:
    """`MultiplyByQuantizedMultiplier` with one rounding, ties up."""
    total = 31 - np.asarray(exponent, np.int64)
    product = np.asarray(values, np.int64) * np.asarray(multiplier, np.int64)
    return np.asarray((product + (np.int64(1) << (total - 1))) >> total)


def reduced_multiplier(multiplier: npt.ArrayLike) -> Integers:
    """A 32-bit multiplier cut to 16 bits, rounded, at most 0x7FFF.

    >>> reduced_multiplier([1 << 30, 0x7FFFFFFF]).tolist()
    [16384, 32767]
    """
    multiplier = np.asarray(multiplier, np.int64)
    return np.where(multiplier < 0x7FFF0000, (multiplier + (1 << 15)) >> 16, 0x7FFF)


def multiply_wide(
    values: npt.ArrayLike, multiplier: npt.ArrayLike, exponent: npt.ArrayLike
) -> Integers:
    """`MultiplyByQuantizedMultiplier` of 64-bit accumulators: a 16-bit multiplier, ties up.

    >>> multiply_wide([1 << 40], 1 << 30, -20).tolist()
    [524288]
    """
    total = 15 - np.asarray(exponent, np.int64)
    product = np.asarray(values, np.int64) * reduced_multiplier(multiplier)
    return as_int32((product + (np.int64(1) << (total - 1))) >> total)


def divide_rounding(sums: npt.ArrayLike, counts: npt.ArrayLike) -> Integers:
    """Integer division, ties away from zero: what averages do.

    >>> divide_rounding([5, -5, 4], [2, 2, 3]).tolist()
    [3, -3, 1]
    """
    sums, counts = np.asarray(sums, np.int64), np.asarray(counts, np.int64)
    return np.asarray(np.sign(sums) * ((np.abs(sums) + counts // 2) // counts))
