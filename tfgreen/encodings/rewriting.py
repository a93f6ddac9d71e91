"""Files with packed constants: an op before the weights' consumer unpacks them.

The tensor of the weights keeps its place and its quantization; it only loses its stored values,
and becomes what the new op writes. So `plain` gives back the file as it was, but for the names of
the constants, which a packed file leaves out.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from tfgreen.encodings.bitmap import decode_bitmap
from tfgreen.encodings.huffman import decode_huffman
from tfgreen.encodings.lut import decode_lut
from tfgreen.encodings.packed import Packed, method_of
from tfgreen.encodings.sparse import SparseArray, decode_sparse
from tfgreen.errors import InvalidModelError
from tfgreen.flatbuffer import Op, TfliteModel, reading
from tfgreen.flatbuffer.edits import drop_unused_constants, editable_copy
from tfgreen.flatbuffer.packing import pack
from tfgreen.flatbuffer.schema import load_schema

DECODE, DENSIFY = "CUSTOM:TFLM_DECODE", "DENSIFY"
"""The names of the ops that unpack."""

PACKABLE_DTYPES = frozenset({"int8", "int16", "float16", "float32"})
"""Types of constants that may be packed at all."""

_DECODERS = {"lut": decode_lut, "huffman": decode_huffman, "bitmap": decode_bitmap}


def with_sparse_constants(model: TfliteModel, arrays: Mapping[int, SparseArray]) -> bytes:
    """The same file with these constants stored sparsely, each with a DENSIFY op.

    arrays: by tensor index; each has a buffer of its own.
    """
    edit, schema = _Edit(model), load_schema()
    code = schema.OperatorCodeT(
        deprecatedBuiltinCode=schema.BuiltinOperator.DENSIFY,
        builtinCode=schema.BuiltinOperator.DENSIFY,
        version=1,
    )
    for index, array in arrays.items():
        sparse = edit.move_constant(index, np.ascontiguousarray(array.values).view(np.uint8))
        edit.graph.tensors[sparse].sparsity = array.parameters()
        op = schema.OperatorT(
            opcodeIndex=edit.code_index(code),
            inputs=[sparse],
            outputs=[index],
            builtinOptionsType=schema.BuiltinOptions.DensifyOptions,
            builtinOptions=schema.DensifyOptionsT(),
        )
        edit.insert_before(model.consumers(index)[0], op)
    return edit.packed()


def with_packed_constants(model: TfliteModel, arrays: Mapping[int, Packed]) -> bytes:
    """The same file with these constants as DECODE takes them, unpacked before each consumer.

    arrays: by tensor index; each has a buffer of its own. What DECODE writes may live no longer
    than the next op, so that no two consumers share it.
    """
    edit, schema = _Edit(model), load_schema()
    code = schema.OperatorCodeT(
        deprecatedBuiltinCode=schema.BuiltinOperator.CUSTOM,
        builtinCode=schema.BuiltinOperator.CUSTOM,
        customCode=DECODE.partition(":")[2].encode(),
        version=1,
    )
    stored = {index: edit.move_packed(index, packed) for index, packed in arrays.items()}
    taken: set[int] = set()
    for op in model.ops:
        wanted = [index for index in dict.fromkeys(op.inputs) if index in arrays]
        if not wanted:
            continue
        outputs = [edit.copy_tensor(i) if i in taken else i for i in wanted]
        decode = schema.OperatorT(
            opcodeIndex=edit.code_index(code),
            inputs=[run for index in wanted for run in stored[index]],
            outputs=outputs,
        )
        edit.insert_before(op, decode)
        edit.rewire(op, dict(zip(wanted, outputs, strict=True)))
        taken.update(wanted)
    return edit.packed()


def plain(model: TfliteModel) -> TfliteModel:
    """The same file with every packed constant as plain values; the model itself if none is.

    Raises:
        InvalidModelError: packed values that contradict themselves.
    """
    unpacking = {op.index: op for op in model.ops if _unpacks_constants(model, op)}
    if not unpacking:
        return model
    edit = _Edit(model)
    for op in unpacking.values():
        values = [_densified(model, op)] if op.name == DENSIFY else _decoded(model, op)
        for index, array in zip(op.outputs, values, strict=True):
            edit.set_constant(index, array)
        for index in op.inputs:
            edit.empty(index)
    edit.drop_ops(unpacking)
    return TfliteModel.from_bytes(edit.packed())


def is_packed(model: TfliteModel) -> bool:
    """Whether some constant of a file is unpacked by an op."""
    return any(_unpacks_constants(model, op) for op in model.ops)


def _unpacks_constants(model: TfliteModel, op: Op) -> bool:
    inputs = [model.tensors[index] for index in op.inputs if index >= 0]
    if op.name == DENSIFY:
        return len(inputs) == 1 and inputs[0].is_sparse and inputs[0].is_constant
    whole = len(op.inputs) == len(inputs) == 2 * len(op.outputs) > 0
    return op.name == DECODE and whole and all(tensor.is_constant for tensor in inputs)


def _densified(model: TfliteModel, op: Op) -> np.ndarray:
    index, tensor = op.inputs[0], model.tensors[op.outputs[0]]
    raw = model.root.subgraphs[0].tensors[index]
    stored = model.stored_bytes(index)
    dtype = _plain_dtype(model.tensors[index].dtype)
    if stored.size % dtype.itemsize or model.tensors[index].shape != tensor.shape:
        raise InvalidModelError(
            f"The .tflite file is damaged: the values of the sparse tensor {index} are cut off."
        )
    return decode_sparse(raw.sparsity, np.frombuffer(stored.tobytes(), dtype), tensor.shape)


def _decoded(model: TfliteModel, op: Op) -> list[np.ndarray]:
    found = []
    runs = zip(op.inputs[::2], op.inputs[1::2], op.outputs, strict=True)
    for encoded, ancillary, output in runs:
        tensor, tables = model.tensors[output], model.stored_bytes(ancillary)
        decode = _DECODERS[method_of(tables)]
        dtype = _plain_dtype(tensor.dtype)
        found.append(decode(model.stored_bytes(encoded), tables, tensor.shape, dtype))
    return found


def _plain_dtype(name: str) -> np.dtype:
    if name not in PACKABLE_DTYPES:
        raise InvalidModelError(f"The .tflite file is damaged: packed values of type {name}.")
    return np.dtype(name).newbyteorder("<")


class _Edit:
    """A copy of a model's objects that may be changed."""

    def __init__(self, model: TfliteModel) -> None:
        self._model = model
        self.root, self.graph = editable_copy(model)
        self.root.operatorCodes = list(self.root.operatorCodes)
        self._before: dict[int, list[Any]] = {}

    def copy_tensor(self, index: int) -> int:
        """A further tensor like this one, without a name; its index."""
        tensor = copy.copy(self.graph.tensors[index])
        tensor.name = None
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def move_constant(self, index: int, data: np.ndarray) -> int:
        """Let a further tensor store `data` in place of this one's values; its index."""
        moved = self.copy_tensor(index)
        self.root.buffers[self.graph.tensors[index].buffer] = load_schema().BufferT(data=data)
        self.empty(index)
        return moved

    def move_packed(self, index: int, packed: Packed) -> tuple[int, int]:
        """The tensors of both runs of bytes, the first in place of this one's values."""
        schema = load_schema()
        runs = [np.frombuffer(run, np.uint8) for run in (packed.encoded, packed.ancillary)]
        encoded = self.move_constant(index, runs[0])
        ancillary = self.copy_tensor(encoded)
        for place, run in zip((encoded, ancillary), runs, strict=True):
            tensor = self.graph.tensors[place]
            tensor.type, tensor.shape = schema.TensorType.UINT8, [len(run)]
            tensor.quantization = tensor.shapeSignature = None
        self.graph.tensors[ancillary].buffer = self._add_buffer(runs[1])
        return encoded, ancillary

    def set_constant(self, index: int, array: np.ndarray) -> None:
        """Let a tensor store these values."""
        data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        tensor = self.graph.tensors[index] = copy.copy(self.graph.tensors[index])
        tensor.buffer = self._add_buffer(data)

    def empty(self, index: int) -> None:
        """Take a tensor's values away."""
        tensor = self.graph.tensors[index] = copy.copy(self.graph.tensors[index])
        tensor.buffer, tensor.sparsity = 0, None

    def code_index(self, code: Any) -> int:
        """The place of an operator code among the model's; it is added once."""
        if code not in self.root.operatorCodes:
            self.root.operatorCodes.append(code)
        return int(self.root.operatorCodes.index(code))

    def insert_before(self, op: Op, inserted: Any) -> None:
        """Put an op directly before one of the model's."""
        self._before.setdefault(op.index, []).append(inserted)

    def rewire(self, op: Op, tensors: Mapping[int, int]) -> None:
        """Let an op of the model read other tensors."""
        changed = self.graph.operators[op.index] = copy.copy(self.graph.operators[op.index])
        changed.inputs = [tensors.get(int(index), int(index)) for index in changed.inputs]

    def drop_ops(self, indices: Collection[int]) -> None:
        """Leave ops out."""
        kept = [op for i, op in enumerate(self.graph.operators) if i not in indices]
        self.graph.operators = kept

    def packed(self) -> bytes:
        """The file, without what no op reads any more."""
        if self._before:
            whole = enumerate(self.graph.operators)
            self.graph.operators = [
                one for index, op in whole for one in (*self._before.get(index, ()), op)
            ]
        drop_unused_constants(self.root)
        self._drop_last_tensors()
        if self._before:
            self._drop_names_of_constants()
        return pack(self.root, self._model.content)

    def _drop_last_tensors(self) -> None:
        ops, graph = self.graph.operators, self.graph
        used = {int(i) for op in ops for i in (*op.inputs, *op.outputs)}
        used.update(map(int, (*graph.inputs, *graph.outputs)))
        while len(graph.tensors) - 1 > max(used) and not graph.tensors[-1].name:
            graph.tensors.pop()

    def _drop_names_of_constants(self) -> None:
        """Nobody asks for them, and they are long: a name for each op that was folded in."""
        for index, tensor in enumerate(self.graph.tensors):
            buffer = self.root.buffers[tensor.buffer]
            if tensor.buffer and reading.stored_bytes(buffer, self._model.content).size:
                self.graph.tensors[index] = copy.copy(tensor)
                self.graph.tensors[index].name = None

    def _add_buffer(self, data: np.ndarray) -> int:
        self.root.buffers.append(load_schema().BufferT(data=data))
        return len(self.root.buffers) - 1
