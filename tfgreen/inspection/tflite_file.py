"""Inspection of a .tflite file, op by op."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal

from tfgreen.encodings import DECODE, DENSIFY, plain
from tfgreen.flatbuffer import Op, Tensor, TfliteModel, multiply_accumulates
from tfgreen.flatbuffer.facts import BITS_PER_VALUE, FLOAT_DTYPES
from tfgreen.inspection.records import OpFacts, TfliteInspection
from tfgreen.inspection.sparsity import ZeroCount
from tfgreen.manifest import sha256
from tfgreen.preprocess import Preprocess
from tfgreen.verification.known_bad import known_bad, known_to_abort
from tfgreen.verification.labels import counted, tensor_label

_KERNEL_SETS = ("reference", "optimized", "xnnpack", "micro")
_KNOWN = (known_bad, known_to_abort)
_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


def inspect_tflite(content: bytes, path: str | None = None) -> TfliteInspection:
    """Facts of a file in memory; InvalidModelError if it is damaged.

    Packed weights are shown with the ops that compute with them, as many as they are unpacked.
    """
    stored = TfliteModel.from_bytes(content)
    model = plain(stored)
    boundary = Preprocess.of(model)
    constants = {tensor.index: tensor for op in model.ops for tensor in _constants(model, op)}
    zeros = _zeros(model, constants.values())
    ops = tuple(_op_facts(model, op) for op in model.ops)
    arithmetic = Counter(facts.arithmetic for facts in ops)
    return TfliteInspection(
        path=path,
        size_bytes=len(content),
        sha256=sha256(content),
        parameters=sum(tensor.value_count for tensor in constants.values()),
        sparsity=zeros.share,
        notes=tuple(_notes(stored)),
        signatures=model.signature_keys,
        subgraphs=model.subgraph_count,
        inputs=boundary.inputs,
        outputs=boundary.outputs,
        macs=sum(facts.macs for facts in ops),
        integer_ops=arithmetic["integer"],
        float_ops=arithmetic["float"],
        conversion_ops=arithmetic["conversion"],
        weights_bytes=_weights_bytes(stored, constants.values()),
        op_counts=dict(sorted(Counter(op.name for op in model.ops).items())),
        ops=ops,
    )


def _weights_bytes(stored: TfliteModel, constants: Iterable[Tensor]) -> int:
    """Of the constants as they are stored, packed or not."""
    packing = [op for op in stored.ops if op.name in (DECODE, DENSIFY)]
    unpacked = {index for op in packing for index in op.outputs}
    packed = {index for op in packing for index in op.inputs}
    whole = sum(tensor.size_bytes for tensor in constants if tensor.index not in unpacked)
    return whole + sum(stored.tensors[index].size_bytes for index in packed)


def _op_facts(model: TfliteModel, op: Op) -> OpFacts:
    constants = list(_constants(model, op))
    weights = max(constants, key=lambda tensor: tensor.size_bytes, default=None)
    written = model.tensors[op.outputs[0]] if op.outputs else None
    quantization = written.quantization if written else None
    return OpFacts(
        index=op.index,
        op=op.name,
        version=op.version,
        arithmetic=_arithmetic(model, op),
        tensor=tensor_label(model, written.index) if written else "",
        shape=written.shape if written else (),
        dtype=written.dtype if written else "",
        scale=float(quantization.scales[0]) if quantization else None,
        zero_point=int(quantization.zero_points[0]) if quantization else None,
        weight_dtype=weights.dtype if weights else None,
        weight_scales=weights.quantization.scales.size if weights and weights.quantization else 0,
        macs=multiply_accumulates(model, op),
        parameters=sum(tensor.value_count for tensor in constants),
        sparsity=_zeros(model, constants).share,
        size_bytes=sum(tensor.size_bytes for tensor in constants),
        remarks=tuple(_remarks(model, op)),
    )


def _constants(model: TfliteModel, op: Op) -> Iterator[Tensor]:
    """The op's parameters: stored floats and quantized integers, not shapes and axes."""
    for index in dict.fromkeys(op.inputs):
        tensor = model.tensors[index] if index >= 0 else None
        if tensor is None or not tensor.is_constant:
            continue
        if tensor.dtype in FLOAT_DTYPES or tensor.quantization is not None:
            yield tensor


def _zeros(model: TfliteModel, tensors: Iterable[Tensor]) -> ZeroCount:
    count = ZeroCount()
    for tensor in tensors:
        if tensor.is_sparse or not tensor.size_bytes or tensor.dtype not in BITS_PER_VALUE:
            continue
        quantization = tensor.quantization
        zero_point = 0 if quantization is None else int(quantization.zero_points[0])
        count.add(model.constant(tensor.index), zero_point)
    return count


def _arithmetic(model: TfliteModel, op: Op) -> Literal["integer", "float", "conversion"]:
    if op.name in _CONVERSIONS:
        return "conversion"
    indices = [index for index in (*op.inputs, *op.outputs) if index >= 0]
    activations = [model.tensors[index] for index in indices]
    moving = any(t.dtype in FLOAT_DTYPES for t in activations if not t.is_constant)
    return "float" if moving else "integer"


def _remarks(model: TfliteModel, op: Op) -> Iterator[str]:
    for kernel_set in _KERNEL_SETS:
        for entry in filter(None, (find(kernel_set, model, op) for find in _KNOWN)):
            yield f"{kernel_set} {entry.symptom} ({entry.dated}, {entry.versions})"


def _notes(model: TfliteModel) -> Iterator[str]:
    if model.subgraph_count > 1:
        yield f"The file has {model.subgraph_count} subgraphs; only the first is shown."
    if any(tensor.is_external for tensor in model.tensors):
        yield "Constants lie outside of the flatbuffer; TensorFlow Lite Micro misreads such files."
    counts = Counter(op.name for op in model.ops if op.name in (DECODE, DENSIFY))
    for name, count in counts.items():
        text = f"{counted(count, 'further op')}, {name.rpartition(':')[2]}: weights are packed"
        yield f"{text}; shown is the file with plain ones."
    if any(op.name.startswith("FLEX:") for op in model.ops):
        yield "The file needs TensorFlow's Flex delegate, which few runtimes have."
