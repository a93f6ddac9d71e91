"""ABS, NEG, SQUARE, SQRT, RSQRT, EXP and LOG."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfgreen.reference import fixed_point
from tfgreen.reference.arithmetic import Integers, multiply_double, quantized_multiplier
from tfgreen.reference.node import Node, Run
from tfgreen.reference.requantization import Factor
from tfgreen.reference.tables import by_table, correctly_rounded, of_real

_FLOATS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ABS": np.abs,
    "NEG": np.negative,
    "SQUARE": np.square,
    "SQRT": np.sqrt,
    "RSQRT": lambda x: np.float32(1) / np.sqrt(x),
    "EXP": np.exp,
    "LOG": np.log,
}
_KEPT_BITS = 20


def function(node: Node) -> Run:
    """One of the functions, on float32, or on int8 where kernels have it."""
    name = node.op.name
    if node.expect_dtypes("int8", "int16", "float32", "int32") in ("float32", "int32"):
        real = _FLOATS[name]

        def run_floats(inputs: list[np.ndarray]) -> list[np.ndarray]:
            with np.errstate(all="ignore"):
                return [np.asarray(real(inputs[0]), inputs[0].dtype)]

        return run_floats  # type: ignore[return-value]
    integer = {"ABS": _absolute, "NEG": _negative, "RSQRT": _inverse_root}.get(name)
    if integer is not None:
        return by_table(node, integer(node))
    if name not in ("LOG", "EXP") or node.input(0).dtype != "int8":
        raise node.unsupported(f"works on {node.input(0).dtype}")
    real = _logarithm(node) if name == "LOG" else correctly_rounded(np.exp)
    return by_table(node, of_real(node, real))


def _absolute(node: Node) -> Callable[[Integers], Integers]:
    data, out = node.input(0), node.output()
    scale, out_scale = (node.scale_precision(node.scale(tensor)) for tensor in (data, out))
    factor = Factor.of(scale / out_scale, "double")
    zero_point, out_zero_point = node.zero_point(data), node.zero_point(out)

    def stored(values: Integers) -> Integers:
        sizes = np.abs(values - zero_point)
        return (sizes if scale == out_scale else factor.multiply(sizes)) + out_zero_point

    return stored


def _negative(node: Node) -> Callable[[Integers], Integers]:
    """LiteRT's kernel turns the sign of the stored byte, whatever scale and zero point say."""
    if node.rounding != "micro" and node.input(0).dtype == "int8":
        lowest = np.iinfo(np.int8).min  # its opposite wraps around to itself
        return lambda values: np.where(values == lowest, values, -values)
    data, out = node.input(0), node.output()
    factor = Factor.of(node.scale(data) / node.scale(out), "double")
    zero_point, out_zero_point = node.zero_point(data), node.zero_point(out)
    return lambda values: factor.multiply(zero_point - values) + out_zero_point


def _logarithm(node: Node) -> Callable[[np.ndarray], np.ndarray]:
    """The logarithm; what has none becomes the smallest value that the output can hold."""
    out = node.output()
    lowest = np.float32((np.iinfo(out.dtype).min - node.zero_point(out)) * node.scale(out))
    logarithm = correctly_rounded(np.log)
    return lambda x: np.where(x > 0, logarithm(np.maximum(x, np.float32(1e-30))), lowest)


def _inverse_root(node: Node) -> Callable[[Integers], Integers]:
    """RSQRT in fixed point; values at and below zero become the largest.

    Source: TFLite, `kernels/elementwise.cc` and `GetInvSqrtQuantizedMultiplierExp` in
    `kernels/internal/common.h`. Kernels refuse values below zero.
    """
    data, out = node.input(0), node.output()
    root = float(np.sqrt(np.float32(node.scale(data))))
    real = 1.0 / float(np.float32(root) * np.float32(node.scale(out)))
    multiplier, exponent = quantized_multiplier(real)
    zero_point, out_zero_point = node.zero_point(data), node.zero_point(out)
    largest = np.iinfo(out.dtype).max

    def stored(values: Integers) -> Integers:
        x = values - zero_point
        inverse, shift = fixed_point.inverse_root(np.maximum(x, 1))
        kept = multiply_double(np.ones_like(x), inverse, shift + _KEPT_BITS)
        result = multiply_double(kept, multiplier, exponent - _KEPT_BITS) + out_zero_point
        return np.where(x <= 0, largest, result)

    return stored
