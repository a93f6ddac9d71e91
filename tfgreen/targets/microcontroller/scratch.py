"""Working memory that TFLM's portable kernels ask for beside their tensors, in the arena's head.

Each rule is the request that a kernel's Prepare makes (tensorflow/lite/micro/kernels of
tflite-micro, the reference kernels); the tests hold them against the head that TFLM prints.
Kernels that CMSIS-NN or a vendor has optimised may ask for more, which nobody can tell from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tfgreen.flatbuffer import Op, Tensor, TfliteModel
from tfgreen.flatbuffer.facts import stored_size_bytes

_POINTER_BYTES = 8  # this host's; a 32-bit target has 4
_INT_BYTES = 4


def scratch_bytes(model: TfliteModel, op: Op) -> tuple[int, ...]:
    """Sizes of the buffers that one op asks for, in the order of its requests."""
    rule = _RULES.get(op.name)
    if rule is None:
        return ()
    inputs = [model.tensors[index] if index >= 0 else None for index in op.inputs]
    return tuple(size for size in rule(op, inputs, model.tensors[op.outputs[0]]) if size)


_Inputs = list[Tensor | None]


def _sums(op: Op, inputs: _Inputs, output: Tensor) -> tuple[int, ...]:
    source = inputs[0]
    is_integer = source is not None and source.dtype in ("int8", "int16")
    sums = _INT_BYTES * output.value_count if is_integer else 0
    return (*_extremes(op, inputs, output), sums)


def _extremes(op: Op, inputs: _Inputs, output: Tensor) -> tuple[int, ...]:
    source, axes = inputs[0], inputs[1]
    if source is None or axes is None:
        return ()
    return _INT_BYTES * len(source.shape), _INT_BYTES * axes.value_count


def _mirror_pad(op: Op, inputs: _Inputs, output: Tensor) -> tuple[int, ...]:
    return (_INT_BYTES * len(output.shape),) * 2


def _transpose_conv(op: Op, inputs: _Inputs, output: Tensor) -> tuple[int, ...]:
    width = {"int8": 4, "int16": 8}.get(output.dtype, 0)
    bias = inputs[3] if len(inputs) > 3 else None
    widened = bias.value_count * 8 if bias is not None and bias.dtype == "int16" else 0
    return width * output.value_count, widened


def _svdf(op: Op, inputs: _Inputs, output: Tensor) -> tuple[int, ...]:
    source, features = inputs[0], inputs[1]
    if source is None or features is None:
        return ()
    batch, filters = source.shape[0], features.shape[0]
    sums = (4 * batch * filters,)
    return (*sums, 4 * output.value_count) if source.dtype == "int8" else sums


def _lstm(op: Op, inputs: _Inputs, output: Tensor) -> tuple[int, ...]:
    state = inputs[19] if len(inputs) > 19 else None
    if state is None:
        return ()
    return (stored_size_bytes(state.dtype, state.value_count) or 0,) * 4


def _add_n(op: Op, inputs: _Inputs, output: Tensor) -> tuple[int, ...]:
    return (_POINTER_BYTES * len(inputs),)


def _unpacked_weights(op: Op, inputs: _Inputs, output: Tensor) -> tuple[int, ...]:
    weights = inputs[1] if len(inputs) > 1 else None
    is_packed = weights is not None and weights.dtype == "int4"
    return (weights.value_count,) if weights is not None and is_packed else ()


_RULES: Mapping[str, Callable[[Op, _Inputs, Tensor], tuple[int, ...]]] = {
    "ADD_N": _add_n,
    "CONV_2D": _unpacked_weights,
    "DEPTHWISE_CONV_2D": _unpacked_weights,
    "FULLY_CONNECTED": _unpacked_weights,
    "MEAN": _sums,
    "MIRROR_PAD": _mirror_pad,
    "REDUCE_MAX": _extremes,
    "REDUCE_MIN": _extremes,
    "SUM": _sums,
    "SVDF": _svdf,
    "TRANSPOSE_CONV": _transpose_conv,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
}
