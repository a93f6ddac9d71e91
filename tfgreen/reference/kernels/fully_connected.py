"""FULLY_CONNECTED and BATCH_MATMUL: matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfgreen.reference.kernels.float_layers import activated, float_fully_connected
from tfgreen.reference.node import Node, Run
from tfgreen.reference.products import (
    Weights,
    bias_of,
    channel_factor,
    check_factor,
    fallback_rule,
    filter_zero_points,
    largest_input,
    requantizer_of,
    samples_in,
)
from tfgreen.reference.requantization import FLOAT32_EXACT, Factor, Rule, rule_for

_BLOCK_BYTES = 1 << 21


def fully_connected(node: Node) -> Run:
    """FULLY_CONNECTED on int8 or int16 with int8 or int4 weights, one scale or one a channel."""
    if node.expect_dtypes("int8", "int16", "float32") == "float32":
        return float_fully_connected(node)
    data, filters = node.input(0), node.constant(1)
    node.expect(filters.ndim == 2, f"has weights of rank {filters.ndim}; expected 2")
    node.expect(int(node.option("weightsFormat", 0)) == 0, "has shuffled weights")
    channels, depth = filters.shape
    node.expect(depth > 0 and data.value_count % depth == 0, f"has weights {filters.shape}")
    rows = data.value_count // depth
    node.expect(rows * channels == node.output().value_count, "gives another number of values")
    factor = channel_factor(node, 1, channels, _rule(node, data.dtype))
    matrix = filters.astype(np.int64).T - filter_zero_points(node, 1)
    weights = Weights.of(matrix, largest_input(data.dtype), node)
    offsets = bias_of(node, 2, channels) - node.zero_point(data) * weights.sums
    finish = requantizer_of(node, factor, offsets)
    item = np.dtype(weights.precision).itemsize
    step = samples_in(node, item * (depth + channels), _BLOCK_BYTES)

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        vectors = inputs[0].reshape(-1, depth)
        out = np.empty((len(vectors), channels), node.output().dtype)
        for start in range(0, len(vectors), step):
            sums = vectors[start : start + step].astype(weights.precision) @ weights.matrix
            node.peaks.note(node.output(), sums, offsets)
            finish(sums, out[start : start + step])
        return [out.reshape(-1, *node.output().shape)]

    return run


def _rule(node: Node, dtype: str) -> Rule:
    """The reference kernels multiply by a float64 here; they alone."""
    if node.rounding == "reference":
        return "away"
    return fallback_rule(dtype)


def batch_matmul(node: Node) -> Run:
    """BATCH_MATMUL of two activations, or of one with a constant, each possibly transposed."""
    dtype = node.expect_dtypes("int8", "int16", "float32")
    left, right = node.input(0), node.input(1)
    node.expect(min(len(left.shape), len(right.shape)) >= 2, "needs inputs of rank 2 and more")
    turned = bool(node.option("adjX", False)), bool(node.option("adjY", False))

    def matrices(inputs: Sequence[Any], precision: type) -> tuple[np.ndarray, np.ndarray]:
        pair = [values.astype(precision) for values in inputs[:2]]
        rank = max(values.ndim for values in pair)
        pair = [v.reshape(len(v), *[1] * (rank - v.ndim), *v.shape[1:]) for v in pair]
        both = [v.swapaxes(-1, -2) if t else v for v, t in zip(pair, turned, strict=True)]
        return both[0], both[1]

    if dtype == "float32":
        return lambda inputs: [activated(node, np.matmul(*matrices(inputs, np.float32)))]
    depth = left.shape[-2 if turned[0] else -1]
    offsets = [node.zero_point(tensor) for tensor in (left, right)]
    bound = depth * max(abs(o) + largest_input(dtype) for o in offsets) ** 2
    precision = np.float32 if bound < FLOAT32_EXACT else np.float64
    effective = node.scale(left) * node.scale(right) / node.scale(node.output())
    check_factor(node, effective)
    factor = Factor.of(effective, rule_for(node.rounding, fallback_rule(dtype)))
    finish = requantizer_of(node, factor, np.zeros(1, np.int64))

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        a, b = matrices(inputs, precision)
        sums = np.matmul(a - offsets[0], b - offsets[1])
        node.peaks.note(node.output(), sums)
        out = np.empty(sums.shape, node.output().dtype)
        finish(sums.reshape(-1, sums.shape[-1]), out.reshape(-1, sums.shape[-1]))
        return [out.reshape(len(out), *node.output().shape)]

    return run
