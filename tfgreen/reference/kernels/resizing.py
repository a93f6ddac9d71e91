"""RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfgreen.reference.arithmetic import Integers, round_half_away
from tfgreen.reference.node import Node, Run

_UNIT = 1 << 10


def _prepared(node: Node) -> tuple[bool, bool]:
    """Whether corners are aligned, and whether pixel centres lie at a half."""
    data, out = node.input(0), node.output()
    node.expect(len(data.shape) == len(out.shape) == 4, "needs images of rank 4")
    fits = (data.shape[0], data.shape[3]) == (out.shape[0], out.shape[3])
    node.expect(fits and min(data.shape) > 0, f"makes {out.shape} of {data.shape}")
    aligned = bool(node.option("alignCorners", False))
    centred = bool(node.option("halfPixelCenters", False))
    node.expect(not (aligned and centred), "aligns both corners and pixel centres")
    return aligned, centred


def nearest(node: Node) -> Run:
    """RESIZE_NEAREST_NEIGHBOR; `kernels/internal/reference/resize_nearest_neighbor.h`."""
    node.expect_dtypes("int8", "uint8", "int16", "float32")
    aligned, centred = _prepared(node)
    shape, out = node.input(0).shape, node.output().shape
    rows, columns = (_nearest(shape[i], out[i], aligned, centred) for i in (1, 2))
    return lambda inputs: [inputs[0][:, :, rows][:, :, :, columns]]


def _nearest(size: int, out_size: int, aligned: bool, centred: bool) -> np.ndarray:
    corners = aligned and out_size > 1
    whole = np.float32(size - 1 if corners else size)
    scale = whole / np.float32(out_size - 1 if corners else out_size)
    place = (np.arange(out_size).astype(np.float32) + np.float32(0.5 * centred)) * scale
    index = round_half_away(place) if aligned else np.floor(place)
    return np.clip(index, 0, size - 1).astype(np.int64)


def bilinear(node: Node) -> Run:
    """RESIZE_BILINEAR, on integers with 10 fractional bits a direction.

    Source: TFLite, `kernels/internal/reference/resize_bilinear.h`.
    """
    dtype = node.expect_dtypes("int8", "int16", "float32")
    aligned, centred = _prepared(node)
    shape, out = node.input(0).shape, node.output().shape
    if dtype == "float32":
        return _bilinear_floats(shape, out, aligned, centred)
    y_low, y_high, y_part = _neighbours(shape[1], out[1], aligned, centred)
    x_low, x_high, x_part = _neighbours(shape[2], out[2], aligned, centred)
    y_part, x_part = y_part[:, np.newaxis, np.newaxis], x_part[:, np.newaxis]

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        values = inputs[0].astype(np.int64)
        upper, lower = values[:, :, y_low], values[:, :, y_high]
        left = upper[:, :, :, x_low] * (_UNIT - y_part) + lower[:, :, :, x_low] * y_part
        right = upper[:, :, :, x_high] * (_UNIT - y_part) + lower[:, :, :, x_high] * y_part
        total = left * (_UNIT - x_part) + right * x_part
        total += np.where(total > 0, 1 << 19, -(1 << 19))
        return [(np.sign(total) * (np.abs(total) >> 20)).astype(dtype)]

    return run


def _neighbours(
    size: int, out_size: int, aligned: bool, centred: bool
) -> tuple[Integers, Integers, Integers]:
    """The two pixels that each result lies between, and the share of the second of 1024."""
    if aligned and out_size > 1:
        scale = (_UNIT * (size - 1) + (out_size - 1) // 2) // (out_size - 1)
    else:
        scale = (_UNIT * size + out_size // 2) // out_size
    place = np.arange(out_size, dtype=np.int64) * scale
    if centred:
        place += scale // 2 - _UNIT // 2
    low = np.maximum(_truncated(place), 0)
    high = np.minimum(_truncated(place + _UNIT - 1), size - 1)
    return np.minimum(low, size - 1), np.maximum(high, 0), place - _UNIT * low


def _truncated(values: Integers) -> Integers:
    return np.sign(values) * (np.abs(values) // _UNIT)


def _bilinear_floats(
    shape: tuple[int, ...], out: tuple[int, ...], aligned: bool, centred: bool
) -> Run:
    def places(size: int, out_size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        corners = aligned and out_size > 1
        scale = np.float32(size - 1 if corners else size) / np.float32(
            out_size - 1 if corners else out_size
        )
        half = np.float32(0.5 * centred)
        place = (np.arange(out_size).astype(np.float32) + half) * scale - half
        low = np.maximum(np.floor(place), 0).astype(np.int64)
        high = np.minimum(np.ceil(place), size - 1).astype(np.int64)
        return np.minimum(low, size - 1), np.maximum(high, 0), place - low.astype(np.float32)

    y_low, y_high, y_part = places(shape[1], out[1])
    x_low, x_high, x_part = places(shape[2], out[2])
    y_part, x_part = y_part[:, np.newaxis, np.newaxis], x_part[:, np.newaxis]

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        upper, lower = inputs[0][:, :, y_low], inputs[0][:, :, y_high]
        left = upper[:, :, :, x_low] * (1 - y_part) + lower[:, :, :, x_low] * y_part
        right = upper[:, :, :, x_high] * (1 - y_part) + lower[:, :, :, x_high] * y_part
        return [np.asarray(left * (1 - x_part) + right * x_part, np.float32)]

    return run
