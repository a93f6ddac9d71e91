"""What quantization-aware training left in a float file: trained ranges and rounded weights.

The converter writes each fake quantization as a QUANTIZE op and a DEQUANTIZE op behind it, on
constants too. Such a file computes exactly what the trained model computes, and holds every
trained number: the step of each activation, and the step of each weight, of 4, 8 or 16 bits.
`read_fake_quantization` takes them out, so that any engine can be given them, also where some
layers were not trained for quantization and need ranges from data.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfgreen.flatbuffer import Op, TfliteModel
from tfgreen.flatbuffer.facts import BITS_PER_VALUE
from tfgreen.flatbuffer.packing import pack
from tfgreen.flatbuffer.schema import load_schema
from tfgreen.tflite.constants import Constant, computed_constants

Ranges = Mapping[str, tuple[float, float]]

_UNSIGNED_16_BIT_MIDDLE = 32768


@dataclass(frozen=True)
class FakeQuantized:
    """A float file of a model from quantization-aware training, taken apart.

    simulated: the file that computes what the trained model computes: every trained rounding of
        an activation is a QUANTIZE and a DEQUANTIZE op, weights are rounded constants.
    plain: the same without the rounding of activations, for a quantizer to start from.
    ranges: trained (minimum, maximum) by name of the float tensor in `plain`.
    weights: constants with their trained steps, by name of the output of the op in `plain` that
        has them as its second input.
    activation_bits: widths of the trained activations, such as {8}.
    """

    simulated: bytes
    plain: bytes
    ranges: Ranges
    weights: Mapping[str, Constant]
    activation_bits: frozenset[int]

    def to_facts(self) -> dict[str, Any]:
        """The record for the manifest: how much of the file was trained for its steps."""
        return {
            "ranges": len(self.ranges),
            "weights": len(self.weights),
            "activation_bits": sorted(self.activation_bits),
            "weight_bits": sorted({constant.bits for constant in self.weights.values()}),
        }


def read_fake_quantization(content: bytes) -> FakeQuantized | None:
    """Take apart a float file of the converter; None where it holds no fake quantization."""
    model = TfliteModel.from_bytes(content)
    pairs = _pairs(model)
    constants = computed_constants(model)
    if not pairs and not constants:
        return None
    weights = {
        model.tensors[op.outputs[0]].name: constants[op.inputs[1]]
        for op in model.ops
        if op.outputs and op.outputs[0] not in constants and len(op.inputs) > 1
        if op.inputs[1] in constants and constants[op.inputs[1]].stored is not None
    }
    folded = rebuilt(model, constants, {})
    return FakeQuantized(
        simulated=folded,
        plain=rebuilt(model, constants, _sources(pairs)),
        ranges=_ranges(model, pairs),
        weights=weights,
        activation_bits=frozenset(
            BITS_PER_VALUE[model.tensors[pair.quantize.outputs[0]].dtype] for pair in pairs
        ),
    )


@dataclass(frozen=True)
class _Pair:
    """A rounding: `quantize` takes a float tensor and `dequantize` gives it back rounded."""

    quantize: Op
    dequantize: Op


def _pairs(model: TfliteModel) -> list[_Pair]:
    """The roundings of activations, in execution order."""
    found = []
    for op in model.ops:
        if op.name != "DEQUANTIZE":
            continue
        before = model.producer(op.inputs[0])
        if before is None or before.name != "QUANTIZE":
            continue
        source = model.tensors[before.inputs[0]]
        if source.dtype == "float32" and not source.is_constant:
            found.append(_Pair(before, op))
    return found


def _sources(pairs: list[_Pair]) -> dict[int, int]:
    """From each rounded tensor to the tensor before the rounding, chains followed to their start.

    Pairs come in execution order, so the start of a chain is known before its end.
    """
    sources: dict[int, int] = {}
    for pair in pairs:
        source = pair.quantize.inputs[0]
        sources[pair.dequantize.outputs[0]] = sources.get(source, source)
    return sources


def _ranges(model: TfliteModel, pairs: list[_Pair]) -> dict[str, tuple[float, float]]:
    """Trained ranges by tensor name; of several roundings of one tensor the first counts."""
    sources = _sources(pairs)
    ranges: dict[str, tuple[float, float]] = {}
    for pair in pairs:
        tensor = model.tensors[pair.quantize.outputs[0]]
        if tensor.quantization is None:
            continue
        scale = float(tensor.quantization.scales[0])
        zero_point = int(tensor.quantization.zero_points[0])
        steps = (1 << BITS_PER_VALUE[tensor.dtype]) - 1
        lowest = 0 if tensor.dtype.startswith("u") else -(steps + 1) // 2
        source = sources[pair.dequantize.outputs[0]]
        ranges.setdefault(
            model.tensors[source].name,
            ((lowest - zero_point) * scale, (lowest + steps - zero_point) * scale),
        )
    return ranges


def rebuilt(
    model: TfliteModel, constants: Mapping[int, Constant], replaced: Mapping[int, int]
) -> bytes:
    """The file with constants computed, and with some tensors read from others.

    replaced: from tensors to those that are read in their place; what only fed them goes.
    """
    root = copy.copy(model.root)
    root.buffers = list(root.buffers)
    graph = copy.copy(root.subgraphs[0])
    root.subgraphs = [graph, *root.subgraphs[1:]]
    graph.tensors = [_with_signed_16_bits(tensor) for tensor in graph.tensors]
    for index, constant in constants.items():
        _store(root, graph, index, constant.real)
    graph.outputs = [replaced.get(int(i), int(i)) for i in graph.outputs]
    kept = [op for op in model.ops if not set(op.outputs) <= constants.keys()]
    graph.operators = _still_used(model, kept, replaced, graph)
    _drop_unused_codes(root, graph)
    root.signatureDefs = [_redirected(s, replaced) for s in root.signatureDefs or ()]
    return pack(_without_unused_constants(root), model.content)


def _store(root: Any, graph: Any, index: int, values: np.ndarray) -> None:
    graph.tensors[index] = tensor = copy.copy(graph.tensors[index])
    tensor.buffer = len(root.buffers)
    tensor.shape, tensor.shapeSignature, tensor.hasRank = [*values.shape], None, True
    data = np.frombuffer(np.ascontiguousarray(values, np.float32).tobytes(), np.uint8)
    root.buffers.append(load_schema().BufferT(data=data))


def _with_signed_16_bits(tensor: Any) -> Any:
    """Kernels round to int16, not to uint16: the same steps counted from another zero."""
    schema = load_schema()
    if tensor.type != schema.TensorType.UINT16 or tensor.quantization is None:
        return tensor
    tensor = copy.copy(tensor)
    tensor.type = schema.TensorType.INT16
    tensor.quantization = copy.copy(tensor.quantization)
    tensor.quantization.zeroPoint = [
        int(point) - _UNSIGNED_16_BIT_MIDDLE for point in tensor.quantization.zeroPoint
    ]
    return tensor


def _still_used(
    model: TfliteModel, ops: list[Op], replaced: Mapping[int, int], graph: Any
) -> list[Any]:
    """The operators with their inputs redirected, without those that nothing reads any more."""
    needed = {int(index) for index in graph.outputs}
    operators: list[Any] = []
    for op in reversed(ops):
        if not needed.intersection(op.outputs):
            continue
        operator = copy.copy(model.root.subgraphs[0].operators[op.index])
        operator.inputs = [replaced.get(index, index) for index in op.inputs]
        needed.update(operator.inputs)
        operators.append(operator)
    return operators[::-1]


def _drop_unused_codes(root: Any, graph: Any) -> None:
    """Engines refuse a file for an op version that they do not know, used or not."""
    if len(root.subgraphs) > 1:
        return
    used = sorted({int(op.opcodeIndex) for op in graph.operators})
    position = {old: new for new, old in enumerate(used)}
    root.operatorCodes = [root.operatorCodes[index] for index in used]
    for op in graph.operators:
        op.opcodeIndex = position[int(op.opcodeIndex)]


def _redirected(signature: Any, replaced: Mapping[int, int]) -> Any:
    signature = copy.copy(signature)
    signature.outputs = [copy.copy(entry) for entry in signature.outputs or ()]
    for entry in signature.outputs:
        entry.tensorIndex = replaced.get(int(entry.tensorIndex), int(entry.tensorIndex))
    return signature


def _without_unused_constants(root: Any) -> Any:
    """Empty the buffers of tensors that no operator, input or output uses."""
    graph = root.subgraphs[0]
    used = {int(i) for op in graph.operators for i in (*op.inputs, *op.outputs) if i >= 0}
    used.update(int(i) for i in (*graph.inputs, *graph.outputs))
    buffers = {int(graph.tensors[index].buffer) for index in used}
    buffers.update(int(t.buffer) for other in root.subgraphs[1:] for t in other.tensors)
    buffers.update(int(entry.buffer) for entry in root.metadata or ())
    empty = load_schema().BufferT()
    root.buffers = [b if i in buffers else empty for i, b in enumerate(root.buffers)]
    return root
