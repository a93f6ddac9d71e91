"""A file of several signatures as several models, and edits that hold for all of them.

`TfliteModel` tells of one subgraph; a decoder has one for each signature, and they share weights
by sharing buffers.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfgreen.errors import InvalidModelError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.flatbuffer.packing import pack
from tfgreen.flatbuffer.reading import stored_bytes, text
from tfgreen.flatbuffer.schema import load_schema

_ONE_OF_A_KIND_BYTES = 64


def signature_models(content: bytes) -> dict[str, TfliteModel]:
    """The subgraph of each signature as a model of its own, signature name → model.

    Tensor and buffer indices are those of the whole file.
    """
    whole = TfliteModel.from_bytes(content)
    found: dict[str, TfliteModel] = {}
    for signature in whole.root.signatureDefs or ():
        root = copy.copy(whole.root)
        graph = copy.copy(root.subgraphs[signature.subgraphIndex])
        graph.operators = [op for op in graph.operators or () if not _is(root, op, "CALL_ONCE")]
        own = copy.copy(signature)
        own.subgraphIndex = 0
        root.subgraphs, root.signatureDefs = [graph], [own]
        root.metadata = root.metadataBuffer = None
        _empty_unused(root)
        found[text(signature.signatureKey)] = TfliteModel.from_bytes(pack(root, whole.content))
    if not found:
        raise InvalidModelError(
            "The .tflite file has no signatures, so it is no decoder. Export one with "
            "tfgreen.export_decoder."
        )
    return found


def with_lookups(content: bytes) -> bytes:
    """The file with EMBEDDING_LOOKUP where a GATHER takes rows of a constant table.

    The two compute the same; quantizers know the table of the first as weights, and would leave
    that of the second in float, once for each signature.
    """
    whole = TfliteModel.from_bytes(content)
    root = _editable(whole)
    code = copy.copy(root.operatorCodes[0])
    number = _builtin("EMBEDDING_LOOKUP")
    code.builtinCode = code.deprecatedBuiltinCode = number
    code.version, code.customCode = 1, None
    root.operatorCodes = [*root.operatorCodes, code]
    for graph in root.subgraphs:
        for place, op in enumerate(graph.operators):
            if _is(root, op, "GATHER") and _takes_rows(root, graph, op, whole.content):
                graph.operators[place] = _lookup(op, len(root.operatorCodes) - 1)
    return _packed(root, whole.content)


def with_shared_constants(content: bytes) -> bytes:
    """The file with every constant stored once, whichever subgraphs use it."""
    whole = TfliteModel.from_bytes(content)
    root = _editable(whole)
    places: dict[bytes, int] = {}
    moved: dict[int, int] = {}
    for number, buffer in enumerate(root.buffers):
        data = stored_bytes(buffer, whole.content)
        if data.size >= _ONE_OF_A_KIND_BYTES:
            key = hashlib.sha256(data.tobytes()).digest()
            moved[number] = places.setdefault(key, number)
    for graph in root.subgraphs:
        for place, tensor in enumerate(graph.tensors):
            if moved.get(tensor.buffer, tensor.buffer) != tensor.buffer:
                graph.tensors[place] = changed = copy.copy(tensor)
                changed.buffer = moved[tensor.buffer]
    _empty_unused(root)
    return _packed(root, whole.content)


def with_weights(
    content: bytes, values: Mapping[int, np.ndarray], scales: Mapping[int, np.ndarray]
) -> bytes:
    """The file with other stored bytes in some buffers, and other scales for tensors that use them.

    values: by buffer index, uint8 of as many bytes as before. scales: by buffer index, float32.
    """
    whole = TfliteModel.from_bytes(content)
    root = _editable(whole)
    for number, data in values.items():
        root.buffers[number] = load_schema().BufferT(data=np.ascontiguousarray(data, np.uint8))
    for graph in root.subgraphs:
        for place, tensor in enumerate(graph.tensors):
            if tensor.buffer in scales and tensor.quantization is not None:
                graph.tensors[place] = changed = copy.copy(tensor)
                changed.quantization = copy.copy(tensor.quantization)
                changed.quantization.scale = np.asarray(scales[tensor.buffer], np.float32)
    return _packed(root, whole.content)


def buffer_of(model: TfliteModel, tensor_index: int) -> int:
    """Which buffer of the file a tensor is stored in."""
    return int(model.root.subgraphs[0].tensors[tensor_index].buffer)


class _Packed:
    """A table of the schema that is written once, however many tensors hold it."""

    def __init__(self, table: Any) -> None:
        self._table, self._builder, self._offset = table, None, 0

    def Pack(self, builder: Any) -> int:  # noqa: N802 - the name that the schema's classes use
        if self._builder is not builder:
            self._builder, self._offset = builder, self._table.Pack(builder)
        return self._offset


def _packed(root: Any, content: bytes) -> bytes:
    """The bytes, with the scales of a weight that several signatures use stored once.

    Scales and zero points of channels would else be as many bytes as a tenth of a 4-bit file.
    """
    tables: dict[bytes, _Packed] = {}
    for graph in root.subgraphs:
        for place, tensor in enumerate(graph.tensors):
            facts = tensor.quantization
            if facts is None or facts.scale is None or isinstance(facts, _Packed):
                continue
            if facts.details is None:
                key = _key(facts)
                graph.tensors[place] = changed = copy.copy(tensor)
                changed.quantization = tables.setdefault(key, _Packed(facts))
    return pack(root, content)


def _key(facts: Any) -> bytes:
    parts = (facts.scale, facts.zeroPoint, facts.min, facts.max)
    arrays = [np.asarray([] if part is None else part).tobytes() for part in parts]
    return hashlib.sha256(b"|".join([*arrays, str(facts.quantizedDimension).encode()])).digest()


def _editable(whole: TfliteModel) -> Any:
    root = copy.copy(whole.root)
    root.buffers = list(root.buffers)
    root.subgraphs = [copy.copy(graph) for graph in root.subgraphs]
    for graph in root.subgraphs:
        graph.tensors, graph.operators = list(graph.tensors or ()), list(graph.operators or ())
    return root


def _empty_unused(root: Any) -> None:
    used = {int(tensor.buffer) for graph in root.subgraphs for tensor in graph.tensors}
    used.update(int(entry.buffer) for entry in root.metadata or ())
    empty = load_schema().BufferT()
    root.buffers = [one if number in used else empty for number, one in enumerate(root.buffers)]


def _takes_rows(root: Any, graph: Any, op: Any, content: bytes) -> bool:
    table, ids = (graph.tensors[index] for index in op.inputs[:2])
    options = op.builtinOptions
    is_constant = stored_bytes(root.buffers[table.buffer], content).size > 0
    plain = options is None or (options.axis == 0 and options.batchDims == 0)
    is_int32 = ids.type == load_schema().TensorType.INT32
    return is_constant and plain and is_int32 and len(table.shape) == 2 and len(ids.shape) == 1


def _lookup(op: Any, code: int) -> Any:
    changed = copy.copy(op)
    changed.opcodeIndex = code
    changed.inputs = [op.inputs[1], op.inputs[0]]
    changed.builtinOptionsType, changed.builtinOptions = 0, None
    return changed


def _is(root: Any, op: Any, name: str) -> bool:
    code = root.operatorCodes[op.opcodeIndex]
    return max(code.builtinCode, code.deprecatedBuiltinCode) == _builtin(name)


def _builtin(name: str) -> int:
    return int(getattr(load_schema().BuiltinOperator, name))
