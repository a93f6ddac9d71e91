"""Cross-layer equalization of a float file: channels of unlike size are made alike.

Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction",
arXiv 1906.04721, section 4.1: where layer 2 reads what layer 1 gives, W1 / s and W2 * s compute
the same for any positive s a channel, and s = sqrt(r1 r2) / r2 gives channel i of both the same
range. One scale for all channels of a tensor then fits them all.

Where weights have a scale a channel anyway, only activations gain: `by="activations"` makes the
channels of the tensor in between alike instead (in the spirit of Xiao et al. 2022, SmoothQuant,
arXiv 2211.10438): all the way where a depthwise layer reads them, half of it elsewhere.

RELU6 is no multiple of itself. Where no channel reaches 6 on the calibration data, it becomes
RELU: the same for all samples seen. Where some do, those channels keep their factor of 1, and the
others are only scaled as far as they stay below 6.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tfgreen.flatbuffer import Op, TfliteModel, with_constants
from tfgreen.flatbuffer.edits import editable_copy
from tfgreen.flatbuffer.packing import pack
from tfgreen.flatbuffer.schema import load_schema
from tfgreen.tflite.chains import (
    RELU,
    RELU6,
    Pair,
    activation_of,
    column_extremes,
    pairs,
    row_extremes,
    scaled_columns,
    scaled_rows,
)

By = Literal["weights", "activations"]
ChannelMaxima = Mapping[int, np.ndarray]
"""By tensor index, the largest |value| of each channel on the calibration data."""

_CLIP = 6.0
_REACHED = 0.98
_SWEEPS = 40
_SETTLED = 1e-3
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Equalization:
    """The float file, and what was done.

    layers: names of the tensors whose channels were made alike. widest: the largest ratio of a
    factor to another within one tensor. skipped: tensor name to the reason.
    """

    content: bytes
    layers: tuple[str, ...]
    widest: float
    skipped: Mapping[str, str]


def equalized(content: bytes, maxima: ChannelMaxima, by: By = "weights") -> Equalization:
    """The float file with channels made alike wherever that leaves what it computes unchanged.

    content: a float `.tflite`. maxima: as `channel_maxima` measures them, by tensor index.
    """
    model = TfliteModel.from_bytes(content)
    found = [pair for pair in pairs(model) if pair.tensor in maxima]
    constants = {
        index: model.constant(index).astype(np.float64)
        for pair in found
        for op in (pair.first, pair.second)
        for index in op.inputs[1:3]
        if index >= 0
    }
    total = {pair.tensor: np.ones(len(maxima[pair.tensor])) for pair in found}
    limits = {pair.tensor: _limits(pair, maxima[pair.tensor]) for pair in found}
    for _ in range(_SWEEPS):
        moved = 0.0
        for pair in found:
            wanted = total[pair.tensor] * _factors(pair, constants, maxima, total, by)
            allowed = np.clip(wanted, *limits[pair.tensor])
            factors = allowed / total[pair.tensor]
            total[pair.tensor] = allowed
            _move(pair, constants, factors)
            moved = max(moved, float(np.abs(np.log(factors)).max(initial=0.0)))
        if moved < _SETTLED:
            break
    changed = with_constants(
        model, {index: array.astype(np.float32) for index, array in constants.items()}
    )
    unclipped = [op for pair in found if _never_clips(pair, maxima) for op in pair.clips]
    names = {pair.tensor: model.tensors[pair.tensor].name for pair in found}
    spreads = {t: float(f.max() / f.min()) for t, f in total.items() if len(f)}
    return Equalization(
        _without_clips(changed, unclipped),
        tuple(names[tensor] for tensor, spread in spreads.items() if spread > 1 + _SETTLED),
        max(spreads.values(), default=1.0),
        {
            names[pair.tensor]: "channels that reach 6 keep their size"
            for pair in found
            if pair.clips and not _never_clips(pair, maxima)
        },
    )


def _factors(
    pair: Pair,
    constants: Mapping[int, np.ndarray],
    maxima: ChannelMaxima,
    total: Mapping[int, np.ndarray],
    by: By,
) -> np.ndarray:
    """By what each channel between the two layers is to be divided."""
    channels = len(maxima[pair.tensor])
    before = row_extremes(pair.first, constants[pair.first.inputs[1]])
    behind = column_extremes(pair.second, constants[pair.second.inputs[1]], channels)
    if by == "activations":
        before = maxima[pair.tensor] / total[pair.tensor]
        if pair.second.name == "DEPTHWISE_CONV_2D":
            alive = before[before > _SMALLEST]
            behind = np.full(channels, np.exp(np.log(alive).mean()) if alive.size else 1.0)
            return np.where(before > _SMALLEST, before / behind, 1.0)
    usable = (before > _SMALLEST) & (behind > _SMALLEST)
    ratio = np.sqrt(np.where(usable, before, 1.0) / np.where(usable, behind, 1.0))
    if by == "activations" and usable.any():
        ratio /= np.exp(np.log(ratio[usable]).mean())
    return np.where(usable, ratio, 1.0)


def _limits(pair: Pair, maxima: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest factor of each channel that keeps a RELU6 as it is."""
    free = np.full(len(maxima), 1e-8), np.full(len(maxima), 1e8)
    if not pair.clips or _stays_below(maxima):
        return free
    reached = maxima >= _CLIP * _REACHED
    lowest = np.where(reached, 1.0, np.maximum(maxima / (_CLIP * _REACHED), 1e-8))
    return lowest, np.where(reached, 1.0, 1e8)


def _stays_below(maxima: np.ndarray) -> bool:
    return bool((maxima < _CLIP * _REACHED).all())


def _never_clips(pair: Pair, maxima: ChannelMaxima) -> bool:
    return bool(pair.clips) and _stays_below(maxima[pair.tensor])


def _move(pair: Pair, constants: dict[int, np.ndarray], factors: np.ndarray) -> None:
    first, second = pair.first, pair.second
    constants[first.inputs[1]] = scaled_rows(first, constants[first.inputs[1]], 1 / factors)
    if len(first.inputs) > 2 and first.inputs[2] >= 0:
        constants[first.inputs[2]] = constants[first.inputs[2]] / factors
    constants[second.inputs[1]] = scaled_columns(second, constants[second.inputs[1]], factors)


def _without_clips(content: bytes, ops: Sequence[Op]) -> bytes:
    """The same file with RELU in place of the RELU6 of these ops, fused or on its own."""
    if not ops:
        return content
    root, graph = editable_copy(TfliteModel.from_bytes(content))
    root.operatorCodes = list(root.operatorCodes)
    for op in ops:
        raw = graph.operators[op.index] = copy.copy(graph.operators[op.index])
        if activation_of(op) == RELU6:
            raw.builtinOptions = copy.copy(raw.builtinOptions)
            raw.builtinOptions.fusedActivationFunction = RELU
        else:
            raw.opcodeIndex = _relu_code(root)
    return pack(root, content)


def _relu_code(root: Any) -> int:
    schema = load_schema()
    relu = schema.BuiltinOperator.RELU
    for index, code in enumerate(root.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == relu:
            return index
    root.operatorCodes.append(
        schema.OperatorCodeT(deprecatedBuiltinCode=relu, builtinCode=relu, version=1)
    )
    return len(root.operatorCodes) - 1
