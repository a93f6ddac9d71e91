"""Whether the weights of a file are stored as narrowly as its scheme promises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tfgreen.flatbuffer import Op, Tensor, TfliteModel
from tfgreen.flatbuffer.facts import FLOAT_DTYPES
from tfgreen.profile import ExportProfile

SMALL_WEIGHT_VALUES = 1024
"""Converters leave weights of fewer values in float32 when only weights are quantized."""

_WEIGHT_INPUTS: Mapping[str, tuple[int, ...]] = {
    "CONV_2D": (1,),
    "DEPTHWISE_CONV_2D": (1,),
    "CONV_3D": (1,),
    "TRANSPOSE_CONV": (1,),
    "FULLY_CONNECTED": (1,),
    "BATCH_MATMUL": (0, 1),
    "EMBEDDING_LOOKUP": (1,),
    "GATHER": (0,),
    "UNIDIRECTIONAL_SEQUENCE_RNN": (1, 2),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": tuple(range(1, 9)),
    "BIDIRECTIONAL_SEQUENCE_LSTM": (*range(1, 9), *range(18, 26)),
}
_TABLES = frozenset({"EMBEDDING_LOOKUP", "GATHER"})
_ACCEPTED: Mapping[str, frozenset[str]] = {
    "int8": frozenset({"int8"}),
    "int16x8": frozenset({"int8"}),
    "float16": frozenset({"float16"}),
    "dynamic-int8": frozenset({"int8"}),
    "weights-int4": frozenset({"int4", "int8"}),
}
_PASSED_THROUGH = frozenset({"DEQUANTIZE", "RESHAPE", "TRANSPOSE"})


def stored_weights(model: TfliteModel) -> Iterator[tuple[Op, Tensor]]:
    """Every weight as stored, with the op that uses it; plain integers are no weights."""
    for op in model.ops:
        for position in _WEIGHT_INPUTS.get(op.name, ()):
            index = op.inputs[position] if position < len(op.inputs) else -1
            tensor = _origin(model, index) if index >= 0 else None
            if tensor is None or not tensor.is_constant:
                continue
            if tensor.dtype in FLOAT_DTYPES or tensor.quantization is not None:
                yield op, tensor


def misfits(model: TfliteModel, profile: ExportProfile) -> Iterator[tuple[Op, Tensor]]:
    """The weights that are stored in a dtype which the profile's scheme does not allow."""
    for op, tensor in stored_weights(model):
        accepted = _ACCEPTED[profile.scheme]
        if profile.scheme == "int16x8" and op.name in _TABLES:
            accepted |= {"int16"}
        small = tensor.value_count < SMALL_WEIGHT_VALUES and not profile.full_integer
        if tensor.dtype not in accepted and not (small and tensor.dtype in FLOAT_DTYPES):
            yield op, tensor


def expected_dtypes(profile: ExportProfile) -> str:
    """The dtypes that the scheme allows for weights, for people: "int4 or int8"."""
    return " or ".join(sorted(_ACCEPTED[profile.scheme]))


def _origin(model: TfliteModel, tensor_index: int) -> Tensor:
    """The tensor that a weight comes from, behind ops that only unpack or turn it."""
    while (op := model.producer(tensor_index)) is not None and op.name in _PASSED_THROUGH:
        tensor_index = op.inputs[0]
    return model.tensors[tensor_index]
