"""Which QUANTIZE and DEQUANTIZE ops a file could do without.

One conversion at each declared boundary is no surplus, nor is a requantization between different
scales where the next op needs the new one (a CONCATENATION, a graph output). All else costs time
and rounds once more for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tfgreen.flatbuffer import Op, Quantization, TfliteModel
from tfgreen.flatbuffer.facts import FLOAT_DTYPES
from tfgreen.profile import ExportProfile
from tfgreen.verification.labels import op_label

CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE"})

_INSIDE = {"int8": "int8", "int16x8": "int16"}  # activations by scheme; float32 in the others
_TAKES_ANY_SCALE = frozenset(
    {"CONV_2D", "DEPTHWISE_CONV_2D", "CONV_3D", "TRANSPOSE_CONV", "FULLY_CONNECTED"}
    | {"BATCH_MATMUL", "ADD", "SUB", "MUL", "DIV", "SQUARED_DIFFERENCE", "MEAN", "SUM"}
    | {"SOFTMAX", "LOG_SOFTMAX", "LOGISTIC", "TANH", "HARD_SWISH", "LEAKY_RELU", "PRELU", "ELU"}
    | {"GELU", "EXP", "LOG", "SQRT", "RSQRT", "RELU", "RELU6", "L2_NORMALIZATION"}
)


def is_boundary(model: TfliteModel, op: Op, profile: ExportProfile) -> bool:
    """Whether a conversion is the one that the profile's input or output type calls for."""
    if op.name not in CONVERSIONS:
        return False
    source, target = (model.tensors[i] for i in (op.inputs[0], op.outputs[0]))
    inside = _INSIDE.get(profile.scheme, "float32")
    if source.index in model.inputs and target.dtype == inside:
        return source.dtype == profile.input_type != inside
    if target.index in model.outputs and source.dtype == inside:
        return target.dtype == profile.output_type != inside
    return False


def surplus_conversions(model: TfliteModel, profile: ExportProfile) -> Iterator[tuple[Op, str]]:
    """Every surplus QUANTIZE or DEQUANTIZE, with the reason as an unfinished sentence."""
    for op in model.ops:
        if op.name in CONVERSIONS and (reason := _surplus_reason(model, op, profile)):
            yield op, reason


def _surplus_reason(model: TfliteModel, op: Op, profile: ExportProfile) -> str | None:
    source, target = (model.tensors[i] for i in (op.inputs[0], op.outputs[0]))
    twin = _earlier_twin(model, op)
    if twin is not None:
        return f"repeats {op_label(model, twin)}"
    producer = model.producer(source.index)
    if producer is not None and producer.name in CONVERSIONS:
        before = model.tensors[producer.inputs[0]]
        if before.dtype == target.dtype:
            same = same_quantization(before.quantization, target.quantization)
            return f"undoes {op_label(model, producer)}{'' if same else ' and rounds once more'}"
    if is_boundary(model, op, profile):
        return None
    if not profile.full_integer and source.is_constant and op.name == "DEQUANTIZE":
        return None
    if source.dtype in FLOAT_DTYPES or target.dtype in FLOAT_DTYPES:
        return f"turns {source.dtype} into {target.dtype} inside the graph"
    if _joins_widths(profile, source.dtype, target.dtype):
        return None
    if source.dtype != target.dtype:
        return f"turns {source.dtype} into {target.dtype}, which the profile does not call for"
    if same_quantization(source.quantization, target.quantization):
        return "does nothing: its input has the same scale and zero point"
    readers = model.consumers(target.index)
    free = readers and all(reader.name in _TAKES_ANY_SCALE for reader in readers)
    if free and target.index not in model.outputs:
        return f"is needed by none of its readers: {readers[0].name} takes any scale"
    return None


def _joins_widths(profile: ExportProfile, *dtypes: str) -> bool:
    """Whether a conversion stands between 8-bit layers and wider ones that are allowed."""
    allowed = profile.wider_layers == "allowed" and profile.scheme == "int8"
    return allowed and set(dtypes) == {"int8", "int16"}


def _earlier_twin(model: TfliteModel, op: Op) -> Op | None:
    """An earlier conversion of the same tensor to the same dtype and scale."""
    target = model.tensors[op.outputs[0]]
    for other in model.consumers(op.inputs[0]):
        if other.index >= op.index:
            return None
        result = model.tensors[other.outputs[0]]
        alike = other.name == op.name and result.dtype == target.dtype
        if alike and same_quantization(result.quantization, target.quantization):
            return other
    return None


def same_quantization(first: Quantization | None, second: Quantization | None) -> bool:
    """Whether two tensors' integers mean the same numbers."""
    if first is None or second is None:
        return first is second
    return np.array_equal(first.scales, second.scales) and np.array_equal(
        first.zero_points, second.zero_points
    )
