"""Tiny .tflite files, built from the schema without TensorFlow, for every room's tests.

`build` makes any model from `TensorSpec`s and `OpSpec`s that name each other; the functions below
it make the ones that tests keep asking for, always the same bytes:

>>> from tfgreen.flatbuffer import TfliteModel
>>> [op.name for op in TfliteModel.from_bytes(int8_classifier()).ops]
['FULLY_CONNECTED', 'SOFTMAX']
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

SOFTMAX_SCALE, SOFTMAX_ZERO_POINT = 1 / 256, -128  # demanded by the int8 kernel


@dataclass(frozen=True)
class TensorSpec:
    """One tensor. `scale` may be one number or one for each channel along `axis`."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "int8"
    scale: float | Sequence[float] | None = None
    zero_point: int = 0
    axis: int = 0
    data: np.ndarray | bytes | None = None
    is_variable: bool = False


@dataclass(frozen=True)
class OpSpec:
    """One op; inputs and outputs are tensor names, "" an absent optional input.

    `options` are attributes of the schema's options object, found by the op's name; a `custom`
    code makes it a custom op.
    """

    name: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    options: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1
    custom: str | None = None


_OPTIONS = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "SVDF": "SVDFOptions",
    "SUM": "ReducerOptions",
    "MEAN": "ReducerOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
}


def build(
    tensors: Sequence[TensorSpec],
    ops: Sequence[OpSpec],
    inputs: Sequence[str],
    outputs: Sequence[str],
    signature: tuple[Mapping[str, str], Mapping[str, str]] | None = None,
) -> bytes:
    """A .tflite file. `signature` maps signature names to tensor names, inputs then outputs."""
    position = {tensor.name: index for index, tensor in enumerate(tensors)} | {"": -1}
    codes = list(dict.fromkeys((op.name, op.version, op.custom) for op in ops))
    buffers = [schema.BufferT()]
    graph = schema.SubGraphT(
        tensors=[_tensor(tensor, buffers) for tensor in tensors],
        inputs=[position[name] for name in inputs],
        outputs=[position[name] for name in outputs],
        operators=[
            _operator(op, codes.index((op.name, op.version, op.custom)), position) for op in ops
        ],
        name=b"main",
    )
    root = schema.ModelT(
        version=3,
        operatorCodes=[_operator_code(*code) for code in codes],
        subgraphs=[graph],
        buffers=buffers,
        signatureDefs=[_signature(signature, position)] if signature else None,
    )
    return pack(root)


def pack(root: Any) -> bytes:
    """The bytes of a schema `ModelT`, for tests that damage one on purpose."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(root.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def unpack(content: bytes) -> Any:
    """The schema `ModelT` of a file, to be changed and packed again."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))


def _tensor(spec: TensorSpec, buffers: list[Any]) -> Any:
    buffer = 0
    if spec.data is not None:
        raw = spec.data if isinstance(spec.data, bytes) else spec.data.tobytes()
        buffer = len(buffers)
        buffers.append(schema.BufferT(data=np.frombuffer(raw, np.uint8)))
    quantization = None
    if spec.scale is not None:
        scales = np.atleast_1d(np.asarray(spec.scale, np.float32))
        quantization = schema.QuantizationParametersT(
            scale=scales,
            zeroPoint=np.full(scales.size, spec.zero_point, np.int64),
            quantizedDimension=spec.axis,
        )
    return schema.TensorT(
        shape=np.array(spec.shape, np.int32),
        type=getattr(schema.TensorType, spec.dtype.upper()),
        buffer=buffer,
        name=spec.name,
        quantization=quantization,
        isVariable=spec.is_variable,
        hasRank=True,
    )


def _operator(spec: OpSpec, code_index: int, position: Mapping[str, int]) -> Any:
    operator = schema.OperatorT(
        opcodeIndex=code_index,
        inputs=[position[name] for name in spec.inputs],
        outputs=[position[name] for name in spec.outputs],
    )
    camel = "".join(part.capitalize() for part in spec.name.split("_"))
    options_name = _OPTIONS.get(spec.name, f"{camel}Options")
    options_class = getattr(schema, f"{options_name}T", None)
    if options_class is not None and spec.custom is None:
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, options_name)
        operator.builtinOptions = options_class()
        for key, value in spec.options.items():
            if not hasattr(operator.builtinOptions, key):
                raise ValueError(f"{options_name} has no option {key!r}")
            setattr(operator.builtinOptions, key, value)
    return operator


def _operator_code(name: str, version: int, custom: str | None) -> Any:
    builtin = getattr(schema.BuiltinOperator, "CUSTOM" if custom else name)
    return schema.OperatorCodeT(
        deprecatedBuiltinCode=min(builtin, 127),
        builtinCode=builtin,
        version=version,
        customCode=custom,
    )


def _signature(
    names: tuple[Mapping[str, str], Mapping[str, str]], position: Mapping[str, int]
) -> Any:
    inputs, outputs = (
        [schema.TensorMapT(name=name, tensorIndex=position[t]) for name, t in mapping.items()]
        for mapping in names
    )
    return schema.SignatureDefT(
        inputs=inputs, outputs=outputs, signatureKey="serving_default", subgraphIndex=0
    )


def int8_classifier(features: int = 16, classes: int = 4) -> bytes:
    """int8 FULLY_CONNECTED and SOFTMAX: input "x" (1, features), output "scores" (1, classes).

    The weights are per channel, the bias int32; the input covers [-1, 1] with scale 1/128.
    """
    rng = np.random.default_rng(0)
    input_scale, weight_scales = 1 / 128, np.linspace(0.005, 0.01, classes)
    tensors = [
        TensorSpec("serving_x:0", (1, features), scale=input_scale),
        TensorSpec(
            "weights",
            (classes, features),
            scale=weight_scales,
            data=rng.integers(-127, 128, (classes, features), np.int8),
        ),
        TensorSpec(
            "bias",
            (classes,),
            "int32",
            scale=input_scale * weight_scales,
            data=rng.integers(-2000, 2000, classes, np.int32),
        ),
        TensorSpec("logits", (1, classes), scale=0.04, zero_point=3),
        TensorSpec("scores:0", (1, classes), scale=SOFTMAX_SCALE, zero_point=SOFTMAX_ZERO_POINT),
    ]
    ops = [
        OpSpec("FULLY_CONNECTED", ["serving_x:0", "weights", "bias"], ["logits"], version=5),
        OpSpec("SOFTMAX", ["logits"], ["scores:0"], {"beta": 1.0}, version=2),
    ]
    return build(
        tensors, ops, ["serving_x:0"], ["scores:0"], ({"x": "serving_x:0"}, {"scores": "scores:0"})
    )


def float_classifier(features: int = 16, classes: int = 4) -> bytes:
    """The float model that `int8_classifier` quantizes: same names, dequantized weights."""
    from tfgreen.flatbuffer import TfliteModel

    model = TfliteModel.from_bytes(int8_classifier(features, classes))

    def dequantized(name: str) -> TensorSpec:
        index = model.tensor_index(name)
        quantization = model.tensors[index].quantization
        stored = model.constant(index)
        scales = quantization.scales.reshape(-1, *[1] * (stored.ndim - 1))
        return TensorSpec(name, stored.shape, "float32", data=(stored * scales).astype(np.float32))

    tensors = [
        TensorSpec("serving_x:0", (1, features), "float32"),
        dequantized("weights"),
        dequantized("bias"),
        TensorSpec("logits", (1, classes), "float32"),
        TensorSpec("scores:0", (1, classes), "float32"),
    ]
    ops = [
        OpSpec("FULLY_CONNECTED", ["serving_x:0", "weights", "bias"], ["logits"]),
        OpSpec("SOFTMAX", ["logits"], ["scores:0"], {"beta": 1.0}),
    ]
    return build(
        tensors, ops, ["serving_x:0"], ["scores:0"], ({"x": "serving_x:0"}, {"scores": "scores:0"})
    )


def float_add(shape: tuple[int, ...] = (1, 4)) -> bytes:
    """float32 ADD of inputs "a" and "b", both of `shape`, into "sum"."""
    tensors = [TensorSpec(name, shape, "float32") for name in ("a", "b", "sum")]
    return build(tensors, [OpSpec("ADD", ["a", "b"], ["sum"])], ["a", "b"], ["sum"])


def int8_conv(size: int = 6, channels: int = 3, filters: int = 4, batch: int = 1) -> bytes:
    """int8 3x3 CONV_2D with padding and ReLU: "image" (batch, size, size, channels) to "maps"."""
    rng = np.random.default_rng(1)
    kernel = rng.integers(-127, 128, (filters, 3, 3, channels), np.int8)
    weight_scales = np.linspace(0.002, 0.004, filters)
    input_scale = 1 / 255
    tensors = [
        TensorSpec("image", (batch, size, size, channels), scale=input_scale, zero_point=-128),
        TensorSpec("kernel", kernel.shape, scale=weight_scales, data=kernel),
        TensorSpec(
            "bias",
            (filters,),
            "int32",
            scale=input_scale * weight_scales,
            data=rng.integers(-1000, 1000, filters, np.int32),
        ),
        TensorSpec("maps", (batch, size, size, filters), scale=0.008, zero_point=-128),
    ]
    options = {"strideW": 1, "strideH": 1, "padding": schema.Padding.SAME}
    options["fusedActivationFunction"] = schema.ActivationFunctionType.RELU
    ops = [OpSpec("CONV_2D", ["image", "kernel", "bias"], ["maps"], options, version=3)]
    return build(tensors, ops, ["image"], ["maps"])


def int8_sum(rows: int = 4, columns: int = 8) -> bytes:
    """int8 SUM over the last axis of "x" (1, rows, columns): wrong on the reference kernels."""
    tensors = [
        TensorSpec("x", (1, rows, columns), scale=1 / 128),
        TensorSpec("axes", (1,), "int32", data=np.array([2], np.int32)),
        TensorSpec("total", (1, rows), scale=columns / 128),
    ]
    ops = [OpSpec("SUM", ["x", "axes"], ["total"], {"keepDims": False}, version=2)]
    return build(tensors, ops, ["x"], ["total"])


def int8_softmax(classes: int = 512) -> bytes:
    """int8 SOFTMAX of "logits" (1, classes).

    Flat logits over 512 classes or more abort the process on the reference kernels and on TFLM.
    """
    tensors = [
        TensorSpec("logits", (1, classes), scale=0.05),
        TensorSpec("scores", (1, classes), scale=SOFTMAX_SCALE, zero_point=SOFTMAX_ZERO_POINT),
    ]
    ops = [OpSpec("SOFTMAX", ["logits"], ["scores"], {"beta": 1.0}, version=2)]
    return build(tensors, ops, ["logits"], ["scores"])


def custom_op(code: str = "Mystery") -> bytes:
    """float32 (1, 4) through a custom op that no kernel set registers; "Flex..." makes it Flex."""
    tensors = [TensorSpec(name, (1, 4), "float32") for name in ("x", "y")]
    return build(tensors, [OpSpec("CUSTOM", ["x"], ["y"], custom=code)], ["x"], ["y"])


def with_external_buffers(content: bytes) -> bytes:
    """The same model with its constants behind the flatbuffer, as large models are written."""
    root = unpack(content)
    payloads = [None if b.data is None else bytes(b.data) for b in root.buffers]
    for _ in range(2):  # offsets have a fixed width, so the second pass has the final ones
        offset = len(pack(root)) if root.buffers[-1].offset else 1 << 20
        for buffer, payload in zip(root.buffers, payloads, strict=True):
            if payload is not None:
                offset += -offset % 16
                buffer.data, buffer.offset, buffer.size = None, offset, len(payload)
                offset += len(payload)
    packed = bytearray(pack(root))
    for buffer, payload in zip(root.buffers, payloads, strict=True):
        if payload is not None:
            packed.extend(bytes(buffer.offset - len(packed)))
            packed.extend(payload)
    return bytes(packed)
