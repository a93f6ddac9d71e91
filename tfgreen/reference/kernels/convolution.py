"""CONV_2D: windows as rows of a matrix, one matrix product, one requantization."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfgreen.reference.kernels.float_layers import float_convolution
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
from tfgreen.reference.windows import Axis, axes_of, padded_images, windows_of

_BLOCK_BYTES = 1 << 21


def convolution(node: Node) -> Run:
    """CONV_2D on int8 or int16 with int8 or int4 weights, any stride, dilation and groups."""
    if node.expect_dtypes("int8", "int16", "float32") == "float32":
        return float_convolution(node)
    data, filters = node.input(0), node.constant(1)
    node.expect(filters.ndim == 4 and len(data.shape) == 4, "needs inputs of rank 4")
    channels, rows, columns, depth = filters.shape
    node.expect(depth > 0 and data.shape[3] % depth == 0, f"has filters of depth {depth}")
    groups = data.shape[3] // depth
    node.expect(groups > 0 and channels % groups == 0, f"has {groups} groups")
    height, width = axes_of(node, data.shape, (rows, columns))
    factor = channel_factor(node, 1, channels, fallback_rule(data.dtype))
    matrix = filters.reshape(channels, -1).T
    weights = Weights.of(matrix, largest_input(data.dtype), node)
    zero_point = node.zero_point(data)
    offsets = bias_of(node, 2, channels) - zero_point * weights.sums
    finish = requantizer_of(node, factor, offsets)
    shape = (data.shape[0], height.count, width.count, channels)
    node.expect(shape == node.output().shape, f"gives {shape}; {node.output().shape} was promised")

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        images = inputs[0].reshape(-1, *data.shape[1:])
        out = np.empty((len(images), *shape[1:]), node.output().dtype)
        flat = out.reshape(-1, channels)
        for start, rows_of_windows in _rows(node, images, height, width, weights, zero_point):
            accumulators = grouped_product(rows_of_windows, weights.matrix, groups)
            node.peaks.note(node.output(), accumulators, offsets)
            finish(accumulators, flat[start : start + len(accumulators)])
        return [out.reshape(-1, *shape)]

    return run


def grouped_product(rows: np.ndarray, matrix: np.ndarray, groups: int) -> np.ndarray:
    """`rows` (count, kernel * depth) times `matrix` (kernel * depth / groups, channels).

    In groups, `rows` is (count, kernel, depth), and each part of the depth meets its own columns.
    """
    if groups == 1:
        return np.asarray(rows.reshape(len(rows), -1) @ matrix)
    channels = matrix.shape[1] // groups
    depth = rows.shape[2] // groups
    out = np.empty((len(rows), matrix.shape[1]), matrix.dtype)
    for group in range(groups):
        part = np.ascontiguousarray(rows[:, :, group * depth : (group + 1) * depth])
        columns = slice(group * channels, (group + 1) * channels)
        out[:, columns] = part.reshape(len(rows), -1) @ matrix[:, columns]
    return out


def _rows(
    node: Node, images: np.ndarray, height: Axis, width: Axis, weights: Weights, fill: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of windows (count, kernel, depth) with the row at which each starts."""
    depth = images.shape[3]
    item = np.dtype(weights.precision).itemsize
    if height.padded == height.size == height.count and width.padded == width.size == width.count:
        pixels = images.reshape(-1, 1, depth)  # a 1x1 convolution with stride 1
        step = max(256, _BLOCK_BYTES // (item * (depth + weights.matrix.shape[1])))
        for start in range(0, len(pixels), step):
            yield start, pixels[start : start + step].astype(weights.precision)
        return
    count = height.count * width.count
    taps = height.kernel * width.kernel
    per_image = item * (count * (taps * depth + weights.matrix.shape[1]))
    step = samples_in(node, per_image, _BLOCK_BYTES)
    buffer: np.ndarray = np.empty((min(step, len(images)) * count, taps, depth), weights.precision)
    for start in range(0, len(images), step):
        padded = padded_images(images[start : start + step], height, width, fill, weights.precision)
        view = windows_of(padded, height, width)
        rows = buffer[: len(padded) * count]
        np.copyto(rows.reshape(view.shape), view)
        yield start * count, rows
