"""TRANSPOSE_CONV: each input pixel scatters its products over a window of the output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfgreen.reference.kernels.float_layers import activated
from tfgreen.reference.node import Node, Run
from tfgreen.reference.products import (
    Weights,
    bias_of,
    channel_factor,
    fallback_rule,
    largest_input,
    requantizer_of,
    samples_in,
)
from tfgreen.reference.requantization import FLOAT32_EXACT, Factor
from tfgreen.reference.windows import SAME, VALID, Axis

_BLOCK_BYTES = 1 << 21


def transposed_convolution(node: Node) -> Run:
    """TRANSPOSE_CONV on int8, int16 or float32. Inputs: output shape, filters, images, bias."""
    data, filters, out = node.input(2), node.constant(1), node.output()
    node.expect(filters.ndim == len(data.shape) == len(out.shape) == 4, "needs inputs of rank 4")
    channels, rows, columns, depth = filters.shape
    node.expect(depth == data.shape[3] and channels == out.shape[3], "has odd filters")
    node.expect(data.shape[0] == out.shape[0], "changes the batch")
    height, width = _axes(node, (rows, columns))
    zero_point, finish = 0, None
    precision: np.dtype[Any] = np.dtype(np.float32)
    if data.dtype == "float32":
        matrix: np.ndarray = filters.reshape(-1, depth).T
        bias: Any = node.constant(3) if node.has(3) else np.zeros(channels, np.float32)
    elif data.dtype in ("int8", "int16"):
        weights = Weights.of(filters.reshape(-1, depth).T, largest_input(data.dtype) * 2, node)
        taps = int(np.abs(filters.astype(np.int64)).sum(axis=(1, 2, 3)).max(initial=0))
        is_small = taps * 2 * largest_input(data.dtype) < FLOAT32_EXACT
        precision = np.dtype(np.float32 if is_small else np.float64)
        matrix, zero_point = weights.matrix.astype(precision), node.zero_point(data)
        factor: Factor = channel_factor(node, 1, channels, fallback_rule(data.dtype))
        finish = requantizer_of(node, factor, bias_of(node, 3, channels))
    else:
        raise node.unsupported(f"works on {data.dtype}")
    size = (out.shape[1] + rows + height.stride, out.shape[2] + columns + width.stride)
    per_image = 8 * (2 * size[0] * size[1] * channels + 2 * matrix.shape[1] * data.value_count)
    step = samples_in(node, per_image, _BLOCK_BYTES)

    def sums_of(images: np.ndarray) -> np.ndarray:
        centred = images.astype(precision) - precision.type(zero_point)
        parts = (centred @ matrix).reshape(*images.shape[:3], channels, rows, columns)
        return _scattered(parts, height, width, out.shape)

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        images = inputs[2].reshape(-1, *data.shape[1:])
        results = np.empty((len(images), *out.shape[1:]), out.dtype)
        for start in range(0, len(images), step):
            sums = sums_of(images[start : start + step])
            target = results[start : start + step]
            if finish is None:
                target[...] = activated(node, sums + bias)
            else:
                node.peaks.note(out, sums)
                finish(
                    np.ascontiguousarray(sums).reshape(-1, channels), target.reshape(-1, channels)
                )
        return [results.reshape(-1, *out.shape)]

    return run


def _axes(node: Node, kernel: tuple[int, int]) -> tuple[Axis, Axis]:
    """The convolution that this one is the transpose of: its input is our output."""
    out, data = node.output().shape, node.input(2).shape
    strides = int(node.option("strideH", 0)), int(node.option("strideW", 0))
    padding = int(node.option("padding", SAME))
    node.expect(padding in (SAME, VALID) and min(strides) > 0, "has odd strides or padding")
    node.expect(max(strides) < 1 << 16, "has a stride without sense")
    axes = [Axis.of(out[1 + i], kernel[i], strides[i], 1, padding) for i in range(2)]
    counts = tuple(axis.count for axis in axes)
    node.expect(counts == tuple(data[1:3]), f"makes {out} of {data}")
    return axes[0], axes[1]


def _scattered(parts: np.ndarray, height: Axis, width: Axis, shape: tuple[int, ...]) -> np.ndarray:
    """Sum `parts` (n, rows, columns, channels, kernel rows, kernel columns) where they belong."""
    count, rows, columns, channels = parts.shape[:4]
    size = [
        max((axis.count - 1) * axis.stride + axis.kernel, axis.before + out)
        for axis, out in zip((height, width), shape[1:3], strict=True)
    ]
    sums = np.zeros((count, *size, channels), parts.dtype)
    for row in range(height.kernel):
        to_rows = slice(row, row + (rows - 1) * height.stride + 1, height.stride)
        for column in range(width.kernel):
            to_columns = slice(column, column + (columns - 1) * width.stride + 1, width.stride)
            sums[:, to_rows, to_columns] += parts[..., row, column]
    top, left = height.before, width.before
    return sums[:, top : top + shape[1], left : left + shape[2]]
