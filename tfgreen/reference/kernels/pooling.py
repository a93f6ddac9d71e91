"""AVERAGE_POOL_2D and MAX_POOL_2D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfgreen.reference.kernels.float_layers import activated
from tfgreen.reference.node import Node, Run
from tfgreen.reference.products import samples_in
from tfgreen.reference.windows import Axis, axes_of, padded_images, windows_of

_BLOCK_BYTES = 1 << 21


def _prepared(node: Node) -> tuple[Axis, Axis]:
    kernel = int(node.option("filterHeight", 0)), int(node.option("filterWidth", 0))
    data, out = node.input(0), node.output()
    height, width = axes_of(node, data.shape, kernel)
    shape = (data.shape[0], height.count, width.count, data.shape[3])
    node.expect(shape == out.shape, f"gives {shape}; {out.shape} was promised")
    node.expect(
        data.dtype == "float32" or node.scale(data) == node.scale(out), "rescales its input"
    )
    return height, width


def max_pool(node: Node) -> Run:
    """MAX_POOL_2D on stored values; padding never wins."""
    dtype = node.expect_dtypes("int8", "uint8", "int16", "float32")
    height, width = _prepared(node)
    data, is_float = node.input(0), dtype == "float32"
    lowest = -np.inf if is_float else np.iinfo(dtype).min
    limits = None if is_float else node.activation_range()

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        images = inputs[0].reshape(-1, *data.shape[1:])
        padded = padded_images(images, height, width, lowest, np.dtype(dtype).type)
        windows = windows_of(padded, height, width)
        out = windows[:, :, :, 0, 0].copy()
        for tap in range(1, height.kernel * width.kernel):
            np.maximum(out, windows[:, :, :, tap // width.kernel, tap % width.kernel], out=out)
        out = activated(node, out) if limits is None else np.clip(out, *limits)
        return [out.reshape(-1, *node.output().shape)]

    return run


def average_pool(node: Node) -> Run:
    """AVERAGE_POOL_2D: the sum divided by what lies inside the image, ties away from zero."""
    dtype = node.expect_dtypes("int8", "uint8", "int16", "float32")
    height, width = _prepared(node)
    data, is_float = node.input(0), dtype == "float32"
    counts = np.outer(_inside(height), _inside(width))[:, :, np.newaxis]
    exact_in_32 = dtype in ("int8", "uint8") and int(counts.max()) < 1 << 10
    precision = np.float32 if is_float or exact_in_32 else np.float64
    halves, counts = np.floor(counts / 2).astype(precision), counts.astype(precision)
    limits = None if is_float else node.activation_range()
    item = np.dtype(precision).itemsize
    per_image = 2 * item * (height.padded * width.padded + 2 * counts.size) * data.shape[3]
    step = samples_in(node, per_image, _BLOCK_BYTES)

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        images = inputs[0].reshape(-1, *data.shape[1:])
        out = np.empty((len(images), *node.output().shape[1:]), node.output().dtype)
        for start in range(0, len(images), step):
            padded = padded_images(images[start : start + step], height, width, 0, precision)
            sums = _sums(padded, height, width)
            if limits is None:
                out[start : start + step] = activated(node, sums / counts)
                continue
            rounded = np.floor((np.abs(sums) + halves) / counts)
            np.copysign(rounded, sums, out=rounded)
            out[start : start + step] = np.clip(rounded, *limits)
        return [out.reshape(-1, *node.output().shape)]

    return run


def _sums(padded: np.ndarray, height: Axis, width: Axis) -> np.ndarray:
    if height.count == width.count == 1 and height.kernel * width.kernel == padded[0, ..., 0].size:
        return np.asarray(padded.sum(axis=(1, 2), keepdims=True))
    windows = windows_of(padded, height, width)
    rows = windows[:, :, :, 0, 0].copy()
    for tap in range(1, height.kernel * width.kernel):
        rows += windows[:, :, :, tap // width.kernel, tap % width.kernel]
    return rows


def _inside(axis: Axis) -> np.ndarray:
    """For each window, how many of its taps lie on the input."""
    first = np.arange(axis.count) * axis.stride - axis.before
    last = np.minimum(first + axis.kernel, axis.size)
    return np.maximum(last - np.maximum(first, 0), 1)
