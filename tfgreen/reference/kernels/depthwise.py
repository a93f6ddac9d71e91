"""DEPTHWISE_CONV_2D: one multiplication and addition of shifted images for each tap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfgreen.reference.kernels.float_layers import float_depthwise
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
from tfgreen.reference.windows import Axis, axes_of, padded_images

_BLOCK_BYTES = 1 << 21


def depthwise(node: Node) -> Run:
    """DEPTHWISE_CONV_2D on int8 or int16 with int8 or int4 weights, any depth multiplier."""
    if node.expect_dtypes("int8", "int16", "float32") == "float32":
        return float_depthwise(node)
    data, filters = node.input(0), node.constant(1)
    node.expect(filters.ndim == 4 and len(data.shape) == 4, "needs inputs of rank 4")
    _, rows, columns, channels = filters.shape
    node.expect(filters.shape[0] == 1, f"has filters of shape {filters.shape}")
    node.expect(data.shape[3] > 0 and channels % data.shape[3] == 0, "has odd filter channels")
    height, width = axes_of(node, data.shape, (rows, columns))
    factor = channel_factor(node, 1, channels, fallback_rule(data.dtype))
    weights = Weights.of(filters.reshape(-1, channels), largest_input(data.dtype), node)
    zero_point = node.zero_point(data)
    offsets = bias_of(node, 2, channels) - zero_point * weights.sums
    finish = requantizer_of(node, factor, offsets)
    shape = (data.shape[0], height.count, width.count, channels)
    node.expect(shape == node.output().shape, f"gives {shape}; {node.output().shape} was promised")
    taps = np.repeat(weights.matrix.reshape(rows, columns, 1, channels), width.count, axis=2)
    repeats = channels // data.shape[3]
    item = np.dtype(weights.precision).itemsize
    per_image = item * channels * (height.padded * width.padded + 2 * height.count * width.count)
    step = samples_in(node, per_image, _BLOCK_BYTES)

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        images = inputs[0].reshape(-1, *data.shape[1:])
        out = np.empty((len(images), *shape[1:]), node.output().dtype)
        for start in range(0, len(images), step):
            block = images[start : start + step]
            block = np.repeat(block, repeats, axis=3) if repeats > 1 else block
            padded = padded_images(block, height, width, zero_point, weights.precision)
            sums = shifted_sums(padded, taps, height, width).reshape(-1, channels)
            node.peaks.note(node.output(), sums, offsets)
            finish(sums, out[start : start + step].reshape(-1, channels))
        return [out.reshape(-1, *shape)]

    return run


def shifted_sums(padded: np.ndarray, taps: np.ndarray, height: Axis, width: Axis) -> np.ndarray:
    """The sums over all taps of a depthwise convolution.

    Columns a stride apart are brought together first, so that a row of outputs reads one
    contiguous stretch of memory for each tap.

    Args:
        padded: (n, rows, columns, channels), floats.
        taps: (kernel rows, kernel columns, output columns, channels), the weights repeated.
        height: The rows.
        width: The columns.

    Returns:
        (n, output rows, output columns * channels).
    """
    channels = padded.shape[3]
    length = width.count * channels
    phases = [
        np.ascontiguousarray(padded[:, :, phase :: width.stride]) if width.stride > 1 else padded
        for phase in range(min(width.stride, width.padded))
    ]
    flat = [phase.reshape(*phase.shape[:2], -1) for phase in phases]
    if width.stride == 1:
        return _all_taps(flat[0], taps, height, width)
    sums = np.zeros((len(padded), height.count, length), padded.dtype)
    for column in range(width.kernel):
        skipped, phase = divmod(column * width.dilation, width.stride)
        start = skipped * channels
        image = flat[phase][:, :, start : start + length]
        sums += _all_taps(image, taps[:, column : column + 1], height, width)
    return sums


def _all_taps(image: np.ndarray, taps: np.ndarray, height: Axis, width: Axis) -> np.ndarray:
    """Sums over taps that all read the same columns, a whole row of outputs at a time.

    Args:
        image: (n, rows, columns * channels).
        taps: (kernel rows, taps in a row, output columns, channels).
        height: The rows.
        width: The columns; their stride is 1 here, or there is one tap in a row.
    """
    n, row, value = image.strides
    channels = taps.shape[3]
    length = taps.shape[2] * channels
    views = np.lib.stride_tricks.as_strided(
        image,
        (taps.shape[0], taps.shape[1], len(image), height.count, length),
        (row * height.dilation, value * channels * width.dilation, n, row * height.stride, value),
        writeable=False,
    )
    return np.einsum("ijnhx,ijx->nhx", views, taps.reshape(*taps.shape[:2], length))
