"""ADD, SUB, MUL, SQUARED_DIFFERENCE, MINIMUM and MAXIMUM, with broadcasting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfgreen.reference.arithmetic import Integers
from tfgreen.reference.kernels.float_layers import activated
from tfgreen.reference.node import Node, Run
from tfgreen.reference.products import check_factor
from tfgreen.reference.requantization import Factor, Scratch, rule_for, settle

_BLOCK_VALUES = 1 << 15
_FLOATS: dict[str, Callable[..., np.ndarray]] = {
    "ADD": np.add,
    "SUB": np.subtract,
    "MUL": np.multiply,
    "DIV": np.divide,
    "SQUARED_DIFFERENCE": lambda a, b: np.square(a - b),
    "MINIMUM": np.minimum,
    "MAXIMUM": np.maximum,
}
_FLOAT32_ERROR = 2.0**-20
_LARGEST_PRODUCT_FACTOR = 1 << 14


@dataclass(frozen=True)
class _Formula:
    """A result in float32, nearly, and in integers, exactly; both of stored values."""

    near: Callable[[np.ndarray, np.ndarray], np.ndarray]
    exact: Callable[[Integers, Integers], Integers]
    zone: float


def binary(node: Node) -> Run:
    """An op of two inputs on int8, int16 (or uint8), float32 or plain int32."""
    dtype = node.expect_dtypes("int8", "uint8", "int16", "int32", "int64", "float32")
    if dtype in ("float32", "int32", "int64"):
        return _unquantized(node)
    node.expect(node.input(1).dtype == dtype, f"mixes {dtype} with {node.input(1).dtype}")
    if node.op.name in ("MINIMUM", "MAXIMUM"):
        choose = _FLOATS[node.op.name]
        return lambda inputs: [choose(*_aligned(inputs))]
    formula = _FORMULAS[node.op.name](node)
    low, high = node.activation_range()
    threshold = np.float32(0.5 - min(formula.zone, 0.5))
    out_dtype, shape = node.output().dtype, node.output().shape

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        a, b = _aligned(inputs)
        out = np.empty(np.broadcast_shapes(a.shape, b.shape), out_dtype)
        node.expect(out.shape[1:] == shape, f"gives {out.shape[1:]}; {shape} was promised")
        a, b, flat = _flattened(a, b, out)
        step = min(max(1, _BLOCK_VALUES // max(flat[:1].size, 1)), max(len(flat), 1))
        scratch = Scratch.of((step, *flat.shape[1:]), np.float32)
        for start in range(0, len(flat), step):
            block = [x[start : start + step] if len(x) > 1 else x for x in (a, b)]
            target = flat[start : start + step]
            scratch.products[: len(target)] = formula.near(*block)
            doubtful = settle(scratch, len(target), threshold, low, high, target)
            if doubtful.size:
                where = np.unravel_index(doubtful, target.shape)
                exact = (np.broadcast_to(x, target.shape)[where].astype(np.int64) for x in block)
                target[where] = np.clip(formula.exact(*exact), low, high)
        return [out]

    return run


def _flattened(
    a: np.ndarray, b: np.ndarray, out: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Operands of equal shape as one long axis, so that a block is what fits."""
    if a.shape != b.shape:
        return a, b, out
    return a.reshape(-1), b.reshape(-1), out.reshape(-1)


def _aligned(inputs: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Both inputs with the same rank: ones after the axis of samples."""
    a, b = inputs[0], inputs[1]
    rank = max(a.ndim, b.ndim)
    a, b = (x.reshape(len(x), *[1] * (rank - x.ndim), *x.shape[1:]) for x in (a, b))
    return a, b


def _unquantized(node: Node) -> Run:
    function = _FLOATS[node.op.name]
    if node.input(0).dtype != "float32":
        node.expect(not node.option("fusedActivationFunction", 0), "fuses an activation")
        return lambda inputs: [np.asarray(function(*_aligned(inputs)))]
    return lambda inputs: [activated(node, function(*_aligned(inputs)))]


def _addition(node: Node) -> _Formula:
    """ADD and SUB: both inputs shifted left, brought to one scale, added and brought back.

    Source: TFLite, `kernels/add.cc` and `kernels/internal/reference/integer_ops/add.h`.
    """
    left_shift = 15 if node.input(0).dtype == "int16" else 20
    sign = -1 if node.op.name == "SUB" else 1
    scales = [np.float32(node.scale(node.input(i))) for i in range(2)]
    zero_points = [node.zero_point(node.input(i)) for i in range(2)]
    out_scale, out_zero_point = (
        np.float32(node.scale(node.output())),
        node.zero_point(node.output()),
    )
    check_factor(node, max(scales) / out_scale, 1 << (left_shift - 1))
    twice = float(np.float32(2) * max(scales))
    factors = [Factor.of(float(scale) / twice, "double") for scale in scales]
    back = Factor.of(twice / float(np.float32(1 << left_shift) * out_scale), "double")
    slopes = [np.float32(float(scale) / float(out_scale)) for scale in scales]
    slopes[1] *= np.float32(sign)
    constant = np.float32(
        out_zero_point - sum(float(s) * z for s, z in zip(slopes, zero_points, strict=True))
    )

    def near(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        first = np.multiply(a, slopes[0], dtype=np.float32)
        first += constant
        second = np.multiply(b, slopes[1], dtype=np.float32)
        if first.shape == second.shape:
            first += second
            return first
        return np.asarray(first + second)

    def exact(a: Integers, b: Integers) -> Integers:
        parts = [
            factor.multiply((x - z) << left_shift)
            for x, z, factor in zip((a, b), zero_points, factors, strict=True)
        ]
        return back.multiply(parts[0] + sign * parts[1]) + out_zero_point

    largest = float(max(abs(s) for s in slopes)) * 2 * np.iinfo(node.input(0).dtype).max
    zone = (4 * largest + 4 * abs(float(constant)) + 1000) * _FLOAT32_ERROR / 8
    zone += 2.0 * float(back.real[0]) + float(back.spread[0])
    return _Formula(near, exact, zone)


def _multiplication(node: Node) -> _Formula:
    """MUL: one product and one factor; `kernels/internal/reference/integer_ops/mul.h`.

    LiteRT works the factor out in float32, TensorFlow Lite Micro in float64.
    """
    precision = np.float64 if node.rounding == "micro" else np.float32
    scales = [precision(node.scale(node.input(i))) for i in range(2)]
    zero_points = [node.zero_point(node.input(i)) for i in range(2)]
    out_zero_point = node.zero_point(node.output())
    effective = scales[0] * scales[1] / precision(node.scale(node.output()))
    check_factor(node, effective, _LARGEST_PRODUCT_FACTOR)
    factor = Factor.of(float(effective), rule_for(node.rounding))
    slope = np.float32(effective)
    offsets = [np.float32(zero_point) for zero_point in zero_points]

    def near(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        first = np.subtract(a, offsets[0], dtype=np.float32)
        first *= slope
        product = first * np.subtract(b, offsets[1], dtype=np.float32)
        product += np.float32(out_zero_point)
        return np.asarray(product)

    def exact(a: Integers, b: Integers) -> Integers:
        return factor.multiply((a - zero_points[0]) * (b - zero_points[1])) + out_zero_point

    largest = 1000.0 if node.output().dtype != "int16" else 140_000.0
    return _Formula(near, exact, largest * _FLOAT32_ERROR + float(factor.spread[0]))


def _squared_difference(node: Node) -> _Formula:
    """SQUARED_DIFFERENCE: as ADD with a left shift of 7; `kernels/squared_difference.cc`."""
    left_shift = 0 if node.input(0).dtype == "int16" else 7
    scales = [float(node.scale(node.input(i))) for i in range(2)]
    zero_points = [node.zero_point(node.input(i)) for i in range(2)]
    out_scale, out_zero_point = node.scale(node.output()), node.zero_point(node.output())
    check_factor(node, max(scales) ** 2 / out_scale, _LARGEST_PRODUCT_FACTOR)
    twice = 2.0 * max(scales)
    factors = [Factor.of(scale / twice, "double") for scale in scales]
    back = Factor.of(twice * twice / ((1 << (2 * left_shift)) * out_scale), "double")

    def exact(a: Integers, b: Integers) -> Integers:
        parts = [
            factor.multiply((x - z) << left_shift)
            for x, z, factor in zip((a, b), zero_points, factors, strict=True)
        ]
        return back.multiply(np.square(parts[0] - parts[1])) + out_zero_point

    def unknown(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.zeros(np.broadcast_shapes(a.shape, b.shape), np.float32)

    return _Formula(unknown, exact, 0.5)


_FORMULAS: dict[str, Callable[[Node], _Formula]] = {
    "ADD": _addition,
    "SUB": _addition,
    "MUL": _multiplication,
    "SQUARED_DIFFERENCE": _squared_difference,
}
