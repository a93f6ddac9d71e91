"""What the weights of each layer are multiplied with, sampled from the calibration data.

A row is one dot product's worth of input: the receptive field of one output position, unrolled
(im2col). A few rows of each run are enough to know which directions of the input carry power.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tfgreen.flatbuffer import Op, TfliteModel

WEIGHTED_OPS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
LONGEST_ROW = 4608
"""Longest row that is taken: the matrix of all pairs of its values has to fit in memory."""

_SAME = 0
_FEWEST_ROWS, _MOST_ROWS = 1024, 4096


@dataclass(frozen=True)
class PatchSampler:
    """Takes the rows of one op from its input tensor.

    Rows have the shape (rows, K) with K = kernel height * width * input channels, in the order of
    the filter's own memory; (rows, kernel height * width, channels) for DEPTHWISE_CONV_2D.
    """

    op: Op
    rows_per_run: int
    take: Callable[[np.ndarray], np.ndarray]


def patch_sampler(model: TfliteModel, op: Op, runs: int) -> PatchSampler | None:
    """The sampler of an op, or None where its rows cannot be told (grouped, odd) or are too long.

    Over all `runs` together it takes four times as many rows as a row is long, but at least
    1,024 and at most 4,096.
    """
    if op.name not in WEIGHTED_OPS:
        return None
    source, weights = (model.tensors[index] for index in op.inputs[:2])
    if not weights.is_constant or source.dtype != "float32":
        return None
    length = int(np.prod(weights.shape[1 : 3 if op.name == "DEPTHWISE_CONV_2D" else None]))
    if length > LONGEST_ROW:
        return None
    rows = -(-int(np.clip(4 * length, _FEWEST_ROWS, _MOST_ROWS)) // runs)
    if op.name == "FULLY_CONNECTED":
        return _dense_sampler(op, source.shape, weights.shape[-1], rows)
    if weights.shape[3] != source.shape[3]:
        return None
    output = model.tensors[op.outputs[0]]
    return _window_sampler(op, source.shape, weights.shape[1:3], output.shape[1:3], rows)


def _dense_sampler(op: Op, shape: tuple[int, ...], width: int, rows: int) -> PatchSampler | None:
    count = int(np.prod(shape))
    if width == 0 or count % width:
        return None
    chosen = _spread(count // width, rows)
    return PatchSampler(op, len(chosen), lambda array: array.reshape(-1, width)[chosen])


def _window_sampler(
    op: Op,
    shape: tuple[int, ...],
    kernel: tuple[int, ...],
    output: tuple[int, ...],
    rows_per_run: int,
) -> PatchSampler:
    options, depthwise = op.options, op.name == "DEPTHWISE_CONV_2D"
    stride = (options.strideH, options.strideW)
    dilation = (options.dilationHFactor, options.dilationWFactor)
    before = tuple(
        _pad_before(shape[1 + axis], kernel[axis], stride[axis], dilation[axis], output[axis])
        if options.padding == _SAME
        else 0
        for axis in (0, 1)
    )
    chosen = _spread(shape[0] * output[0] * output[1], rows_per_run)
    batch, rest = np.divmod(chosen, output[0] * output[1])
    down, across = np.divmod(rest, output[1])
    rows = _taps(down, stride[0], kernel[0], dilation[0], before[0])
    columns = _taps(across, stride[1], kernel[1], dilation[1], before[1])
    inside = ((rows >= 0) & (rows < shape[1]))[:, :, None] & (
        (columns >= 0) & (columns < shape[2])
    )[:, None, :]
    rows, columns = rows.clip(0, shape[1] - 1), columns.clip(0, shape[2] - 1)

    def take(array: np.ndarray) -> np.ndarray:
        windows = array[batch[:, None, None], rows[:, :, None], columns[:, None, :]]
        windows = windows * inside[..., None]
        flat = (len(chosen), kernel[0] * kernel[1], -1)
        return windows.reshape(flat if depthwise else (len(chosen), -1))

    return PatchSampler(op, len(chosen), take)


def _taps(position: np.ndarray, stride: int, size: int, dilation: int, before: int) -> np.ndarray:
    return position[:, None] * stride - before + np.arange(size)[None, :] * dilation


def _pad_before(size: int, kernel: int, stride: int, dilation: int, output: int) -> int:
    reach = (kernel - 1) * dilation + 1
    return max((output - 1) * stride + reach - size, 0) // 2


def _spread(count: int, wanted: int) -> np.ndarray:
    """At most `wanted` of `count` positions, the same in every process."""
    if count <= wanted:
        return np.arange(count)
    return np.sort(np.random.default_rng(count).choice(count, wanted, replace=False))
