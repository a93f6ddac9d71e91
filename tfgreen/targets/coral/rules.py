"""The rules of the Edge TPU's compiler by the names that the table gives them.

Each says whether an op breaks it. The batch is an op's first dimension.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from tfgreen.flatbuffer import Op, Tensor, TfliteModel

_MOST_SOFTMAX_VALUES = 16_000
_DEPTH_MULTIPLE = 4

Rule = Callable[[TfliteModel, Op], bool]


def _fuses_an_activation(model: TfliteModel, op: Op) -> bool:
    return bool(op.options is not None and op.options.fusedActivationFunction)


def _has_a_constant_that_is_no_padding(model: TfliteModel, op: Op) -> bool:
    constants = [tensor for tensor in _read(model, op) if tensor.is_constant]
    if not constants:
        return False
    return len(op.inputs) != 2 or not all(_is_zero(model, tensor) for tensor in constants)


def _is_zero(model: TfliteModel, tensor: Tensor) -> bool:
    zero_point = 0 if tensor.quantization is None else tensor.quantization.zero_points[0]
    return bool(np.all(model.constant(tensor.index) == zero_point))


def _dilates_unevenly(model: TfliteModel, op: Op) -> bool:
    return bool(op.options is not None and op.options.dilationHFactor != op.options.dilationWFactor)


def _computes_its_parameters(model: TfliteModel, op: Op) -> bool:
    return not all(tensor.is_constant for tensor in _read(model, op)[1:])


def _shuffles_its_weights(model: TfliteModel, op: Op) -> bool:
    return bool(op.options is not None and op.options.weightsFormat)


def _writes_several_rows(model: TfliteModel, op: Op) -> bool:
    return math.prod(model.tensors[op.outputs[0]].shape[:-1]) > 1


def _reads_several_rows(model: TfliteModel, op: Op) -> bool:
    return math.prod(_read(model, op)[0].shape[:-1]) > 1


def _reads_too_many(model: TfliteModel, op: Op) -> bool:
    return _read(model, op)[0].value_count > _MOST_SOFTMAX_VALUES


def _reduces_the_batch(model: TfliteModel, op: Op) -> bool:
    return 0 in _reduced(model, op)


def _reduces_an_odd_depth(model: TfliteModel, op: Op) -> bool:
    shape = _read(model, op)[0].shape
    return len(shape) - 1 in _reduced(model, op) and shape[-1] % _DEPTH_MULTIPLE != 0


def _reduced(model: TfliteModel, op: Op) -> set[int]:
    data, axes = _read(model, op)[:2]
    if not axes.is_constant:
        return {0}  # not known until run time
    return {int(axis) % len(data.shape) for axis in np.ravel(model.constant(axes.index))}


def _packs_the_batch(model: TfliteModel, op: Op) -> bool:
    if op.name == "SPLIT":  # inputs: axis, data
        axis, data = _read(model, op)[:2]
        if not axis.is_constant:
            return True
        return int(np.ravel(model.constant(axis.index))[0]) % len(data.shape) == 0
    return int(op.options.axis) % len(model.tensors[op.outputs[0]].shape) == 0


def _pads_the_batch(model: TfliteModel, op: Op) -> bool:
    paddings = _read(model, op)[1]
    return not paddings.is_constant or bool(np.any(model.constant(paddings.index)[0]))


def _has_an_alpha_a_place(model: TfliteModel, op: Op) -> bool:
    return math.prod(_read(model, op)[1].shape[:-1]) > 1


def _strides(model: TfliteModel, op: Op) -> bool:
    strides = _read(model, op)[3]
    masks = op.options.ellipsisMask or op.options.newAxisMask
    return (
        bool(masks) or not strides.is_constant or bool(np.any(model.constant(strides.index) != 1))
    )


def _read(model: TfliteModel, op: Op) -> list[Tensor]:
    """The inputs that are there."""
    return [model.tensors[index] for index in op.inputs if index >= 0]


BREAKS: Mapping[str, Rule] = {
    "always": lambda model, op: True,
    "no-fused-activation": _fuses_an_activation,
    "constants-only-as-zero-padding": _has_a_constant_that_is_no_padding,
    "same-dilation": _dilates_unevenly,
    "constant-parameters": _computes_its_parameters,
    "default-weight-format": _shuffles_its_weights,
    "one-dimensional-output": _writes_several_rows,
    "one-dimensional-input": _reads_several_rows,
    "at-most-16000-values": _reads_too_many,
    "not-over-the-batch": _reduces_the_batch,
    "depth-in-fours": _reduces_an_odd_depth,
    "not-along-the-batch": _packs_the_batch,
    "batch-not-padded": _pads_the_batch,
    "one-dimensional-alpha": _has_an_alpha_a_place,
    "strides-of-one": _strides,
}
"""Whether an op breaks a rule, by the name that the table uses."""
