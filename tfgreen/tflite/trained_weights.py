"""Puts the weights that training rounded into a quantized file, step for step.

An engine rounds weights anew, from their largest value: close to what was trained, but not equal
where the trained step is another (one for a whole dense layer, or 4 bits). Only what the model
was trained with is what its accuracy was measured with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tfgreen.flatbuffer import Op, Tensor, TfliteModel
from tfgreen.flatbuffer.edits import with_requantized_constants
from tfgreen.tflite.constants import Constant

_WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
_INT8_STEPS = 127


@dataclass(frozen=True)
class Stamped:
    """The file with trained weights, and the ops whose weights stay as the engine rounded them."""

    content: bytes
    rounded_again: tuple[str, ...]


def with_trained_weights(content: bytes, plain: bytes, weights: Mapping[str, Constant]) -> Stamped:
    """Store the trained integers and scales, and biases in the steps that follow from them.

    plain: the float file that the engine started from; it has the real biases.
    weights: by name of the op's output, as in `FakeQuantized`.
    """
    model, source = TfliteModel.from_bytes(content), TfliteModel.from_bytes(plain)
    originals = {source.tensors[op.outputs[0]].name: op for op in source.ops if op.outputs}
    changed: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    left: list[str] = []
    for op in model.ops:
        name = model.tensors[op.outputs[0]].name if op.outputs else ""
        if name not in weights:
            continue
        values = _stamp(model, op, weights[name])
        if values is None or not _is_own(model, op, weights):
            left.append(name)
            continue
        changed[op.inputs[1]] = values
        changed |= _bias(model, op, values[1], source, originals[name])
    return Stamped(with_requantized_constants(model, changed), tuple(left))


def _stamp(model: TfliteModel, op: Op, trained: Constant) -> tuple[np.ndarray, np.ndarray] | None:
    """Integers and scales in the form of the engine's own, or None where they do not fit."""
    tensor = model.tensors[op.inputs[1]]
    if op.name not in _WEIGHTED or tensor.dtype != "int8" or tensor.quantization is None:
        return None
    if trained.stored is None or trained.scales is None or tensor.shape != trained.stored.shape:
        return None
    if np.abs(trained.stored).max(initial=0) > _INT8_STEPS:
        return None
    channels = tensor.quantization.scales.size
    if trained.scales.size > 1 and (trained.axis != tensor.quantization.axis or channels == 1):
        return None
    return trained.stored.astype(np.int8), np.broadcast_to(trained.scales, (channels,))


def _is_own(model: TfliteModel, op: Op, weights: Mapping[str, Constant]) -> bool:
    """Whether all ops with these weights were trained with the same ones."""
    names = [model.tensors[other.outputs[0]].name for other in model.consumers(op.inputs[1])]
    first = weights[model.tensors[op.outputs[0]].name]
    return all(name in weights and np.array_equal(weights[name].real, first.real) for name in names)


def _bias(
    model: TfliteModel, op: Op, scales: np.ndarray, source: TfliteModel, original: Op
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    position = 3 if op.name == "TRANSPOSE_CONV" else 2
    bias, real = _constant(model, op, position), _constant(source, original, position)
    steps = model.tensors[op.inputs[2 if position == 3 else 0]].quantization
    if bias is None or real is None or steps is None:
        return {}
    bias_scales = (steps.scales[0] * scales).astype(np.float32)
    limits = np.iinfo(bias.dtype)
    counted = np.rint(source.constant(real.index).astype(np.float64) / bias_scales)
    return {
        bias.index: (
            np.clip(counted, limits.min, limits.max).astype(bias.dtype),
            bias_scales,
        )
    }


def _constant(model: TfliteModel, op: Op, position: int) -> Tensor | None:
    if len(op.inputs) <= position or op.inputs[position] < 0:
        return None
    tensor = model.tensors[op.inputs[position]]
    return tensor if tensor.is_constant else None
