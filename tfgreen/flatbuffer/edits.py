"""Small edits of a .tflite file, each from bytes or a model to new bytes; nothing is changed.

A cut-out op can be run alone on every kernel set; other outputs let a run show what is inside;
ranges are what the converter quantizes from; and constants that lie outside the flatbuffer, which
TensorFlow Lite Micro silently reads as nothing, are brought back in.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tfgreen.errors import UnsupportedModelError, UsageError
from tfgreen.flatbuffer import reading
from tfgreen.flatbuffer.facts import Op
from tfgreen.flatbuffer.model import TfliteModel
from tfgreen.flatbuffer.packing import pack
from tfgreen.flatbuffer.schema import load_schema

_SCHEMA_VERSION = 3
_OWNING_SUBGRAPHS = frozenset(
    {"IF", "WHILE", "CALL", "CALL_ONCE", "STABLEHLO_COMPOSITE", "STABLEHLO_WHILE"}
    | {"STABLEHLO_REDUCE", "STABLEHLO_REDUCE_WINDOW", "STABLEHLO_SCATTER", "STABLEHLO_SORT"}
)
_STATE_DTYPES = frozenset({"resource", "variant"})


def cut_op(model: TfliteModel, op_index: int) -> bytes:
    """A model of one op alone, with its constants and quantization.

    Its inputs that are computed by other ops or given to the graph become graph inputs, in the
    op's input order, duplicates once; its outputs are the graph outputs. Variables stay variables
    and start from their initial state.

    Raises:
        UnsupportedModelError: an op that runs other subgraphs or holds a resource.
    """
    op = model.ops[op_index]
    raw_op = model.root.subgraphs[0].operators[op_index]
    intermediates = () if raw_op.intermediates is None else raw_op.intermediates
    used = [int(i) for i in (*op.inputs, *op.outputs, *intermediates) if i >= 0]
    used += [i for i in map(_scales_of(model), used) if i >= 0]
    used = list(dict.fromkeys(used))
    if op.name in _OWNING_SUBGRAPHS or any(model.tensors[i].dtype in _STATE_DTYPES for i in used):
        raise UnsupportedModelError(
            f"Op {op_index} ({op.name}) cannot be cut out: it runs other subgraphs or holds state."
        )
    schema = load_schema()
    position = {old: new for new, old in enumerate(used)}
    position[-1] = -1
    buffers = [schema.BufferT()]
    graph = schema.SubGraphT(
        tensors=[_moved_tensor(model, i, position, buffers) for i in used],
        inputs=[position[i] for i in _graph_inputs(model, op)],
        outputs=[position[i] for i in op.outputs],
        operators=[_moved_op(raw_op, op, intermediates, position)],
        name=b"main",
    )
    code = model.root.operatorCodes[raw_op.opcodeIndex]
    root = schema.ModelT(
        version=_SCHEMA_VERSION, operatorCodes=[code], subgraphs=[graph], buffers=buffers
    )
    return pack(root, model.content)


def with_outputs(model: TfliteModel, tensor_indices: Sequence[int]) -> bytes:
    """The same model with these tensors as its outputs, in this order.

    Ops that they do not need are dropped, with the constants of those ops. Tensor indices and
    graph inputs stay as they are; signatures are dropped.

    Raises:
        UsageError: no index, or one that the model has not.
    """
    wanted = [int(index) for index in tensor_indices]
    if not wanted or not all(0 <= index < len(model.tensors) for index in wanted):
        raise UsageError(
            f"Received the output tensors {wanted}; expected one or more of "
            f"0..{len(model.tensors) - 1}."
        )
    needed = _needed_ops(model, wanted)
    root, graph = editable_copy(model)
    graph.operators = [graph.operators[op.index] for op in model.ops if op.index in needed]
    graph.outputs = wanted
    kept = {i for op in model.ops if op.index in needed for i in (*op.inputs, *op.outputs)}
    kept.update(wanted, model.inputs)
    kept.update(map(_scales_of(model), tuple(kept)))
    _drop_constants(model, root, kept)
    root.signatureDefs = None
    root.metadata = root.metadataBuffer = None
    return pack(root, model.content)


def with_ranges(model: TfliteModel, ranges: Mapping[str, tuple[float, float]]) -> bytes:
    """The same model with minimum and maximum recorded on its float32 tensors, by tensor name.

    This is what a calibrator writes and the converter's quantizer reads.

    Raises:
        UsageError: a name that no float32 tensor has, or a range that is no range.
    """
    root, graph = editable_copy(model)
    schema = load_schema()
    known = {tensor.name for tensor in model.tensors if tensor.dtype == "float32"}
    if unknown := sorted(set(ranges) - known):
        raise UsageError(f"No float32 tensor of the model is named {unknown[0]!r}.")
    for tensor in model.tensors:
        if tensor.dtype != "float32" or tensor.name not in ranges:
            continue
        low, high = map(float, ranges[tensor.name])
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise UsageError(
                f"The range of {tensor.name!r} is ({low}, {high}); expected finite, low <= high."
            )
        changed = copy.copy(graph.tensors[tensor.index])
        old = changed.quantization
        changed.quantization = copy.copy(old) if old else schema.QuantizationParametersT()
        changed.quantization.min, changed.quantization.max = [low], [high]
        graph.tensors[tensor.index] = changed
    return pack(root, model.content)


def with_constants(model: TfliteModel, values: Mapping[int, np.ndarray]) -> bytes:
    """The same model with other stored values for some constants, by tensor index.

    A buffer that several tensors share is changed for the named tensor alone. Values of int4 are
    given one in each int8.

    Raises:
        UnsupportedModelError: a tensor that is no plain constant, or one of less than 4 bits.
        UsageError: values of another shape or dtype, or outside of -8..7 for int4.
    """
    root, graph = editable_copy(model)
    for index, array in values.items():
        old = model.constant(index)
        packed = model.tensors[index].dtype == "int4"
        if old.dtype.name != model.tensors[index].dtype and not packed:
            raise UnsupportedModelError(
                f"Tensor {index} stores {model.tensors[index].dtype}, which is packed; only values "
                "of whole bytes can be replaced."
            )
        if array.shape != old.shape or array.dtype != old.dtype:
            raise UsageError(
                f"Tensor {index} holds {old.dtype} {old.shape}; received {array.dtype} "
                f"{array.shape}."
            )
        changed = copy.copy(graph.tensors[index])
        changed.buffer = len(root.buffers)
        graph.tensors[index] = changed
        stored = _nibbles(array) if packed else np.ascontiguousarray(array)
        data = np.frombuffer(stored.tobytes(), np.uint8)
        root.buffers.append(load_schema().BufferT(data=data))
    drop_unused_constants(root)
    return pack(root, model.content)


def _nibbles(values: np.ndarray) -> np.ndarray:
    """int4 values two to a byte, the first in the lower half."""
    flat = values.reshape(-1)
    if flat.size and (flat.min() < -8 or flat.max() > 7):
        raise UsageError(f"An int4 holds -8..7; received {flat.min()}..{flat.max()}.")
    halves = np.append(flat, np.zeros(flat.size % 2, np.int8)).view(np.uint8) & 15
    return np.asarray(halves[::2] | halves[1::2] << 4)


def with_requantized_constants(
    model: TfliteModel, values: Mapping[int, tuple[np.ndarray, np.ndarray]]
) -> bytes:
    """`with_constants` that sets the scales too: (stored values, scales) by tensor index.

    The tensor keeps its zero points, of which there have to be as many as scales.

    Raises:
        UsageError: another number of scales, or what `with_constants` refuses.
    """
    changed = TfliteModel.from_bytes(with_constants(model, {i: v[0] for i, v in values.items()}))
    root, graph = editable_copy(changed)
    for index, (_, scales) in values.items():
        tensor = graph.tensors[index] = copy.copy(graph.tensors[index])
        facts = model.tensors[index].quantization
        if facts is None or facts.scales.shape != scales.shape:
            raise UsageError(
                f"Tensor {index} has {0 if facts is None else facts.scales.size} scales; received "
                f"{scales.size}."
            )
        tensor.quantization = copy.copy(tensor.quantization)
        tensor.quantization.scale = np.asarray(scales, np.float32)
    return pack(root, changed.content)


def inline_external_buffers(content: bytes) -> bytes:
    """The same file with every constant inside the flatbuffer; `content` itself if all are.

    Some writers put large constants behind the flatbuffer (`Buffer.offset` and `size`).

    Raises:
        UnsupportedModelError: constants lie in another file altogether.
    """
    model = TfliteModel.from_bytes(content)
    if any(tensor.externalBuffer for graph in model.root.subgraphs for tensor in graph.tensors):
        raise UnsupportedModelError(
            "The model keeps constants in another file. Export it again as one file."
        )
    operators = [op for graph in model.root.subgraphs for op in graph.operators or ()]
    outside = any(reading.is_external(buffer) for buffer in model.root.buffers)
    if not outside and not any(op.largeCustomOptionsOffset for op in operators):
        return model.content
    return pack(editable_copy(model)[0], model.content)


def _graph_inputs(model: TfliteModel, op: Op) -> list[int]:
    """Inputs of an op that come from elsewhere in the graph, in its order."""
    given = set(model.inputs)
    return [
        index
        for index in dict.fromkeys(op.inputs)
        if index >= 0 and (index in given or model.producer(index) is not None)
    ]


def _needed_ops(model: TfliteModel, wanted: Iterable[int]) -> set[int]:
    """Indices of the ops that `wanted` tensors depend on, and of those that change state."""
    needed: set[int] = set()
    pending = list(wanted)
    for op in model.ops:
        if not op.outputs or op.name in {"ASSIGN_VARIABLE", "CALL_ONCE"}:
            needed.add(op.index)
            pending.extend(op.inputs)
    while pending:
        producer = model.producer(pending.pop())
        if producer is not None and producer.index not in needed:
            needed.add(producer.index)
            pending.extend(producer.inputs)
    return needed


def _scales_of(model: TfliteModel) -> Any:
    """From a tensor index to that of the tensor which holds its block scales, else -1."""
    raw_tensors = model.root.subgraphs[0].tensors

    def scales_index(index: int) -> int:
        quantization = raw_tensors[index].quantization if index >= 0 else None
        details = getattr(quantization, "details", None)
        return int(details.scales) if details and hasattr(details, "blockSize") else -1

    return scales_index


def _moved_tensor(
    model: TfliteModel, index: int, position: Mapping[int, int], buffers: list[Any]
) -> Any:
    """A copy of a tensor whose data is appended to `buffers`."""
    tensor = copy.copy(model.root.subgraphs[0].tensors[index])
    if tensor.externalBuffer:
        raise UnsupportedModelError(
            f"Tensor {index} ({model.tensors[index].name}) lies in another file."
        )
    data = reading.stored_bytes(model.root.buffers[tensor.buffer], model.content)
    tensor.buffer = 0
    if data.size:
        tensor.buffer = len(buffers)
        buffers.append(load_schema().BufferT(data=data))
    scales_index = _scales_of(model)(index)
    if scales_index >= 0:
        tensor.quantization = copy.copy(tensor.quantization)
        details = tensor.quantization.details = copy.copy(tensor.quantization.details)
        details.scales = position[scales_index]
        details.zeroPoints = -1
    return tensor


def _moved_op(
    raw_op: Any, op: Op, intermediates: Iterable[int], position: Mapping[int, int]
) -> Any:
    moved = copy.copy(raw_op)
    moved.opcodeIndex = 0
    moved.inputs = [position[i] for i in op.inputs]
    moved.outputs = [position[i] for i in op.outputs]
    moved.intermediates = [position[int(i)] for i in intermediates] or None
    moved.debugMetadataIndex = -1
    return moved


def editable_copy(model: TfliteModel) -> tuple[Any, Any]:
    """A root and its first subgraph whose lists may be changed; entries are still shared."""
    root = copy.copy(model.root)
    root.buffers = list(root.buffers)
    graph = copy.copy(root.subgraphs[0])
    graph.tensors, graph.operators = list(graph.tensors or ()), list(graph.operators or ())
    root.subgraphs = [graph, *root.subgraphs[1:]]
    return root, graph


def drop_unused_constants(root: Any) -> None:
    """Empty the buffers that no tensor and no metadata uses any more."""
    used = {int(t.buffer) for graph in root.subgraphs for t in graph.tensors}
    used.update(int(entry.buffer) for entry in root.metadata or ())
    listed = () if root.metadataBuffer is None else root.metadataBuffer
    used.update(int(index) for index in listed)
    empty = load_schema().BufferT()
    root.buffers = [b if i in used else empty for i, b in enumerate(root.buffers)]


def _drop_constants(model: TfliteModel, root: Any, kept: set[int]) -> None:
    """Empty the buffers that only tensors outside `kept` use."""
    raw_tensors = model.root.subgraphs[0].tensors
    used = {int(raw_tensors[i].buffer) for i in kept if i >= 0}
    used.update(int(t.buffer) for graph in root.subgraphs[1:] for t in graph.tensors)
    empty = load_schema().BufferT()
    root.buffers = [b if i in used else empty for i, b in enumerate(root.buffers)]
