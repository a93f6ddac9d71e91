"""Activations: functions of one value, as tables, and PRELU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfgreen.reference import fixed_point
from tfgreen.reference.arithmetic import (
    Integers,
    divide_by_power_of_two,
    multiply_double,
    quantized_multiplier,
    round_half_away,
)
from tfgreen.reference.node import Node, Run
from tfgreen.reference.requantization import Factor
from tfgreen.reference.tables import by_table, correctly_rounded, of_real

_RELU_LIMITS: dict[str, tuple[float, float]] = {
    "RELU": (0.0, np.inf),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
    "RELU_0_TO_1": (0.0, 1.0),
}
_INTEGER_BITS = 4
_INT16_MAX = (1 << 15) - 1
_KNOTS_ONE_ABOVE = (
    4,
    8,
    12,
    14,
    15,
    16,
    17,
    19,
    20,
    21,
    22,
    25,
    27,
    28,
    29,
    30,
    31,
    33,
    34,
    35,
    37,
    39,
    40,
    41,
    43,
    44,
    45,
    46,
    49,
    50,
    54,
    62,
    63,
    64,
    66,
    82,
    86,
    93,
    100,
    103,
    112,
    116,
    135,
    255,
)


def relu(node: Node) -> Run:
    """RELU, RELU6, RELU_N1_TO_1 and RELU_0_TO_1 as ops of their own."""
    low, high = _RELU_LIMITS[node.op.name]
    if node.expect_dtypes("int8", "uint8", "int16", "float32") == "float32":
        return _plain(lambda x: np.clip(x, np.float32(low), np.float32(high)))
    data, out = node.input(0), node.output()
    if node.rounding == "micro" and node.op.name == "RELU6":
        return by_table(node, _without_rescaling(node))
    scale, zero_point = np.float32(node.scale(out)), node.zero_point(out)
    real = node.scale_precision
    factor = Factor.of(real(node.scale(data)) / real(node.scale(out)), "double")
    input_zero_point, limits = node.zero_point(data), np.iinfo(out.dtype)
    smallest = zero_point + int(round_half_away(np.float32(low) / scale))
    largest = int(limits.max)
    if np.isfinite(high):
        largest = min(largest, zero_point + int(round_half_away(np.float32(high) / scale)))

    def stored(values: Integers) -> Integers:
        product = factor.multiply(values - input_zero_point) + zero_point
        return np.minimum(np.maximum(product, max(smallest, int(limits.min))), largest)

    return by_table(node, stored)


def _without_rescaling(node: Node) -> Callable[[Integers], Integers]:
    """RELU6 of TensorFlow Lite Micro: it takes the output to have the input's quantization."""
    data = node.input(0)
    zero_point = node.zero_point(data)
    six = zero_point + int(round_half_away(np.float32(6.0) / np.float32(node.scale(data))))
    largest = min(six, int(np.iinfo(data.dtype).max))
    return lambda values: np.clip(values, zero_point, largest)


def leaky_relu(node: Node) -> Run:
    """LEAKY_RELU: one factor at and above zero, another below."""
    alpha = np.float32(node.option("alpha", 0.0))
    if node.expect_dtypes("int8", "uint8", "int16", "float32") == "float32":
        return _plain(lambda x: np.where(x > 0, x, x * alpha))
    data, out = node.input(0), node.output()
    real = node.scale_precision
    scale, out_scale = real(node.scale(data)), real(node.scale(out))
    above, below = Factor.of(scale / out_scale, "double"), scale * real(alpha) / out_scale
    multiplier, exponent = quantized_multiplier(below)
    zero_point, out_zero_point = node.zero_point(data), node.zero_point(out)

    def stored(values: Integers) -> Integers:
        x = values - zero_point
        negative = multiply_double(x, multiplier, exponent)
        return np.where(x >= 0, above.multiply(x), negative) + out_zero_point

    return by_table(node, stored)


def prelu(node: Node) -> Run:
    """PRELU: a slope for each channel."""
    if node.expect_dtypes("int8", "uint8", "float32") == "float32":
        return lambda inputs: [np.where(inputs[0] >= 0, inputs[0], inputs[0] * inputs[1])]
    data, alpha, out = node.input(0), node.input(1), node.output()
    real = node.scale_precision
    scale, out_scale = real(node.scale(data)), real(node.scale(out))
    slope_scale = real(node.scale(alpha))
    above = Factor.of(scale / out_scale, "double")
    below = Factor.of(scale * slope_scale / out_scale, "double")
    zero_points = node.zero_point(data), node.zero_point(alpha), node.zero_point(out)
    limits = np.iinfo(out.dtype)

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        x = inputs[0].astype(np.int64) - zero_points[0]
        slopes = inputs[1].astype(np.int64) - zero_points[1]
        slopes = slopes.reshape(len(slopes), *[1] * (x.ndim - slopes.ndim), *slopes.shape[1:])
        results = np.where(x >= 0, above.multiply(x), below.multiply(x * slopes))
        return [np.clip(results + zero_points[2], limits.min, limits.max).astype(out.dtype)]

    return run


def logistic(node: Node) -> Run:
    """LOGISTIC: a table of floats, or gemmlowp's fixed point on microcontrollers."""
    dtype = node.expect_dtypes("int8", "uint8", "int16", "float32")
    function = correctly_rounded(np.exp)

    def real(x: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return np.float32(1.0) / (np.float32(1.0) + function(-x))

    if dtype == "float32":
        return _plain(real)
    if dtype == "int16":
        return _interpolated(node, 1)
    if node.rounding == "micro":
        return by_table(node, _fixed_point(node, fixed_point.logistic, 23, -128))
    return by_table(node, of_real(node, real))


def tanh(node: Node) -> Run:
    """TANH: a table of floats, or gemmlowp's fixed point on microcontrollers."""
    dtype = node.expect_dtypes("int8", "uint8", "int16", "float32")
    if dtype == "float32":
        return _plain(correctly_rounded(np.tanh))
    if dtype == "int16":
        return _interpolated(node, 2)
    if node.rounding == "micro":
        return by_table(node, _fixed_point(node, fixed_point.tanh, 24, 0))
    return by_table(node, of_real(node, correctly_rounded(np.tanh)))


def _fixed_point(
    node: Node,
    function: Callable[[Integers, int], Integers],
    dropped_bits: int,
    zero_point: int,
) -> Callable[[Integers], Integers]:
    """LOGISTIC and TANH of TensorFlow Lite Micro on int8; inputs beyond the radius saturate."""
    data, out = node.input(0), node.output()
    real = np.float64(np.float32(node.scale(data))) * (1 << (31 - _INTEGER_BITS))
    multiplier, exponent = quantized_multiplier(real)
    span = ((1 << _INTEGER_BITS) - 1) * (1 << (31 - _INTEGER_BITS))
    radius = int(np.floor(span / 2.0 ** int(exponent)))
    limits, input_zero_point = np.iinfo(out.dtype), node.zero_point(data)

    def stored(values: Integers) -> Integers:
        x = values - input_zero_point
        inside = np.clip(x, 1 - radius, radius - 1)
        raw = function(multiply_double(inside, multiplier, exponent), _INTEGER_BITS)
        result = divide_by_power_of_two(raw, dropped_bits) + zero_point
        result = np.where(x <= -radius, limits.min, np.where(x >= radius, limits.max, result))
        return np.clip(result, limits.min, limits.max)

    return stored


def _interpolated(node: Node, doubling: int) -> Run:
    """LOGISTIC (1) and TANH (2) of 16 bits: a table of 256 sigmoids, linearly interpolated.

    Source: TFLite, `kernels/internal/reference/integer_ops/logistic.h` and `tanh.h`; the table
    is `sigmoid_table_uint16` in `kernels/internal/common.h`.
    """
    multiplier, shift = _int16_multiplier(node)
    return by_table(node, lambda values: sigmoid_16(values, multiplier, shift, doubling))


def _sigmoid_knots() -> Integers:
    """`sigmoid(k / 24)` with 16 bits, at some knots one more than rounding gives, as in TFLite."""
    knots = np.arange(256)
    table = np.minimum(round_half_away(65536 / (1 + np.exp(-knots / 24.0))), 65535)
    table[list(_KNOTS_ONE_ABOVE)] += 1
    return table.astype(np.int64)


def sigmoid_16(values: Integers, multiplier: int, shift: int, doubling: int) -> Integers:
    """The 16-bit LOGISTIC (`doubling` 1) or TANH (2) of `values * multiplier / 2**shift`."""
    table = _sigmoid_knots()
    x = (values * multiplier + ((1 << shift) >> 1)) >> shift
    size, step = np.abs(x), 9 - (doubling - 1)
    knot = np.minimum(size >> step, 254)
    fraction = size & ((1 << step) - 1)
    result = (table[knot] << step) + fraction * (table[knot + 1] - table[knot])
    saturated = size >> step >= 255
    if doubling == 1:
        result = np.where(saturated, _INT16_MAX << 10, result)
        result = np.where(x >= 0, result + (1 << 9), (1 << 25) - result + (1 << 9) - 1)
        return result >> 10
    result = np.where(saturated, 0xFFFF << 8, result)
    result = np.where(
        x >= 0,
        result - (1 << 23) + (1 << 7),
        -result + (1 << 23) + (1 << 7) - 1,
    )
    return result >> 8


def _int16_multiplier(node: Node) -> tuple[int, int]:
    """The multiplier and right shift of the 16-bit sigmoid's input, 3/4 included."""
    scale = float(np.float32(node.scale(node.input(0))))
    multiplier, shift = scale * 4096 * 3, 0
    exponent = np.log2(scale)
    if abs(exponent - round(exponent)) < 1e-3 and round(exponent) >= -12:
        return 3 << (round(exponent) + 12), 0
    while multiplier <= 32767.0 / 2 and shift <= 30:
        shift += 1
        multiplier *= 2
    return int(multiplier), shift


def hard_swish(node: Node) -> Run:
    """HARD_SWISH in 16-bit fixed point; TFLite, `kernels/internal/reference/hard_swish.h`."""
    if node.expect_dtypes("int8", "uint8", "float32") == "float32":
        six, three = np.float32(6), np.float32(3)
        return _plain(lambda x: x * np.clip(x + three, 0, six) / six)
    data, out = node.input(0), node.output()
    fine = np.float32(1 / 128) * np.float32(node.scale(data))
    to_output, exponent = quantized_multiplier(fine / np.float32(node.scale(out)))
    to_relu, relu_exponent = quantized_multiplier(fine / np.float32(3.0 / 32768.0))
    node.expect(int(exponent) <= 0, "has an output that is finer than 1/128 of its input")
    zero_points = node.zero_point(data), node.zero_point(out)

    def stored(values: Integers) -> Integers:
        x = (values - zero_points[0]) << 7
        gate = _gate(x, _cut(to_relu), int(relu_exponent))
        product = gate * _high_multiply_16(x, _cut(to_output))
        high = np.sign(product) * (np.abs(product) >> 15)
        return divide_by_power_of_two(high, -int(exponent)) + zero_points[1]

    return by_table(node, stored)


def _gate(x: Integers, multiplier: int, exponent: int) -> Integers:
    """`relu6(x + 3) / 6` with 15 fractional bits."""
    low, high = -(1 << 15), _INT16_MAX
    value = np.clip(x << (exponent - 1), low, high) if exponent > 0 else x
    value = _high_multiply_16(value, multiplier)
    if exponent > 0:
        value = np.clip(value << 1, low, high)
    if exponent < 0:
        value = divide_by_power_of_two(value, -exponent)
    return (value + (1 << 15)) >> 1


def _cut(multiplier: Integers) -> int:
    """A 32-bit multiplier in 16 bits."""
    return min((int(multiplier) + (1 << 15)) >> 16, _INT16_MAX)


def _high_multiply_16(a: Integers, b: int) -> Integers:
    return (a * b + (1 << 14)) >> 15


def elu(node: Node) -> Run:
    """ELU by a table of floats."""
    real = _negative_part(correctly_rounded(np.expm1))
    if node.expect_dtypes("int8", "float32") == "float32":
        return _plain(real)
    return by_table(node, of_real(node, real))


def _negative_part(function: Callable[[np.ndarray], np.ndarray]) -> Any:
    def real(x: np.ndarray) -> np.ndarray:
        return np.where(x < 0, function(np.minimum(x, 0)), x)

    return real


def gelu(node: Node) -> Run:
    """GELU by a table of floats, exact or approximated by a tangent."""
    from math import erf

    root = np.float32(0.7071067811865476)
    error_function = correctly_rounded(np.vectorize(erf, otypes=[np.float64]))
    hyperbolic = correctly_rounded(np.tanh)

    def exact(x: np.ndarray) -> np.ndarray:
        return np.float32(0.5) * x * (np.float32(1) + error_function(x * root))

    def approximate(x: np.ndarray) -> np.ndarray:
        inner = np.float32(0.7978845608028654) * (x + np.float32(0.044715) * x * x * x)
        return np.float32(0.5) * x * (np.float32(1) + hyperbolic(inner))

    real = approximate if node.option("approximate", False) else exact
    if node.expect_dtypes("int8", "float32") == "float32":
        return _plain(real)
    return by_table(node, of_real(node, real))


def _plain(function: Callable[[np.ndarray], np.ndarray]) -> Run:
    return lambda inputs: [np.asarray(function(inputs[0]), np.float32)]
