"""Pairs of layers between which a positive factor for each channel may be moved.

A factor that is divided out of a layer's output channels passes RELU, pooling, padding with zeros
and flattening, and can be multiplied into the weights of the one layer that reads them: the
network computes the same. What else reads the channels, or is not of degree one, ends the chain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tfgreen.flatbuffer import Op, TfliteModel
from tfgreen.tflite.patches import WEIGHTED_OPS

NONE, RELU, RELU6 = 0, 1, 3
"""Codes of fused activations."""

_CHANNEL_WISE = frozenset({"AVERAGE_POOL_2D", "LEAKY_RELU", "MAX_POOL_2D", "PAD", "RELU", "RELU6"})


@dataclass(frozen=True)
class Pair:
    """Two layers, and how often the first one's channels repeat in what the second reads.

    first, second: the ops. repeats: 1, or the positions that a flattening put side by side.
    clips: the ops between them (or the first itself) that clip at 6.
    tensor: the first layer's output.
    """

    first: Op
    second: Op
    repeats: int
    clips: tuple[Op, ...]
    tensor: int


def pairs(model: TfliteModel) -> tuple[Pair, ...]:
    """All pairs of a float file, in its order."""
    found = (_pair(model, op) for op in model.ops if _has_own_weights(model, op))
    return tuple(pair for pair in found if pair is not None)


def activation_of(op: Op) -> int:
    """Code of the activation fused into an op; 0 for none."""
    return int(getattr(op.options, "fusedActivationFunction", 0) or 0)


def _has_own_weights(model: TfliteModel, op: Op) -> bool:
    """Float constants that no other op reads, so that they may be changed for this one."""
    if op.name not in WEIGHTED_OPS:
        return False
    given = [index for index in op.inputs[1:] if index >= 0]
    return all(
        model.tensors[index].is_constant
        and model.tensors[index].dtype == "float32"
        and len(model.consumers(index)) == 1
        for index in given
    )


def _pair(model: TfliteModel, first: Op) -> Pair | None:
    if activation_of(first) not in (NONE, RELU, RELU6):
        return None
    tensor = first.outputs[0]
    channels, repeats = model.tensors[tensor].shape[-1], 1
    clips = [first] if activation_of(first) == RELU6 else []
    current = tensor
    while True:
        readers = model.consumers(current)
        if len(readers) != 1 or current in model.outputs:
            return None
        op = readers[0]
        if op.inputs[0] == current and _has_own_weights(model, op):
            if model.tensors[current].shape[-1] != channels * repeats:
                return None
            if not _reads_channels(model, op, channels * repeats):
                return None
            return Pair(first, op, repeats, tuple(clips), tensor)
        grown = _passes(model, op, current)
        if grown is None:
            return None
        repeats *= grown
        if op.name == "RELU6" or activation_of(op) == RELU6:
            clips.append(op)
        current = op.outputs[0]


def _reads_channels(model: TfliteModel, op: Op, channels: int) -> bool:
    """Whether the second layer's weights have one slice for each channel."""
    shape = model.tensors[op.inputs[1]].shape
    if op.name == "DEPTHWISE_CONV_2D":
        return shape[-1] % channels == 0
    return shape[-1] == channels


def _passes(model: TfliteModel, op: Op, current: int) -> int | None:
    """How often channels repeat behind an op that lets factors through; None for another op."""
    if op.inputs[0] != current or activation_of(op) not in (NONE, RELU, RELU6):
        return None
    before, after = model.tensors[current].shape, model.tensors[op.outputs[0]].shape
    if op.name in _CHANNEL_WISE:
        return 1 if before[-1] == after[-1] else None
    if op.name == "MEAN":
        axes = {int(axis) % len(before) for axis in model.constant(op.inputs[1]).reshape(-1)}
        return 1 if len(before) - 1 not in axes and before[-1] == after[-1] else None
    if op.name in ("RESHAPE", "SQUEEZE", "EXPAND_DIMS"):
        return after[-1] // before[-1] if after and after[-1] % before[-1] == 0 else None
    return None


Scale = Callable[[np.ndarray], np.ndarray]


def scaled_rows(op: Op, weights: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Weights whose output channels are multiplied by factors."""
    if op.name == "DEPTHWISE_CONV_2D":
        return weights * factors
    return weights * factors.reshape(-1, *[1] * (weights.ndim - 1))


def scaled_columns(op: Op, weights: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Weights whose input channels are multiplied by factors, flattened positions too."""
    repeats = weights.shape[-1] // len(factors)
    if op.name == "DEPTHWISE_CONV_2D":
        return weights * np.repeat(factors, repeats)
    return weights * np.tile(factors, repeats)


def row_extremes(op: Op, weights: np.ndarray) -> np.ndarray:
    """Largest |weight| of each output channel."""
    axes = (0, 1, 2) if op.name == "DEPTHWISE_CONV_2D" else tuple(range(1, weights.ndim))
    return np.asarray(np.abs(weights).max(axis=axes))


def column_extremes(op: Op, weights: np.ndarray, channels: int) -> np.ndarray:
    """Largest |weight| that each input channel meets."""
    if op.name == "DEPTHWISE_CONV_2D":
        return np.asarray(
            np.abs(weights).reshape(-1, channels, weights.shape[-1] // channels).max(axis=(0, 2))
        )
    return np.asarray(np.abs(weights).reshape(-1, channels).max(axis=0))
