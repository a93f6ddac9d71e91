"""From bytes to validated facts: the one place where a damaged file is found out.

Every index and every length is checked here, so that nothing behind it needs to. The work is
bounded by the file's size: tables and names are counted before they are unpacked, since a hostile
file may let many vectors share the same bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import numpy as np

from tfgreen.errors import InvalidModelError
from tfgreen.flatbuffer.facts import Op, Quantization, Tensor, stored_size_bytes
from tfgreen.flatbuffer.schema import FILE_IDENTIFIER, dtype_names, load_schema, op_names

_IDENTIFIER_END = 8
_MAX_RANK = 16
_EMPTY_BUFFERS = (0, 1)  # offsets that the schema reserves for "no external data"

DAMAGE = (struct.error, IndexError, TypeError, ValueError, OverflowError, AttributeError)
"""What the generated reader raises, depending on where a file is damaged."""


def unpack(content: bytes) -> Any:
    """The schema's `ModelT` object of a file, its first subgraph not yet validated.

    Raises:
        InvalidModelError: not a .tflite file, truncated, or its tables are damaged.
    """
    if content[4:_IDENTIFIER_END] != FILE_IDENTIFIER:
        raise InvalidModelError(
            "The model has no TFL3 file identifier: it is not a .tflite file."
            if len(content) >= _IDENTIFIER_END
            else f"The model has {len(content)} bytes: it is empty or cut off, not a .tflite file."
        )
    schema = load_schema()
    try:
        root = schema.Model.GetRootAs(content, 0)
        _count_tables(root, len(content))
        return schema.ModelT.InitFromObj(root)
    except InvalidModelError:
        raise
    except DAMAGE as error:
        raise InvalidModelError(
            f"The .tflite file is damaged or cut off ({type(error).__name__}: {error}). "
            "Export it again, or copy it again."
        ) from error


class _Allowance:
    """What a file of some size may hold; more means that its parts overlap."""

    def __init__(self, size_bytes: int) -> None:
        self._left = 2 * size_bytes

    def spend(self, size_bytes: int) -> None:
        self._left -= size_bytes
        if self._left < 0:
            raise InvalidModelError("The .tflite file is damaged: its tables overlap each other.")


def _count_tables(root: Any, size_bytes: int) -> None:
    """Refuse a file whose tables and names claim more bytes than it has."""
    allowance = _Allowance(size_bytes)
    reference_bytes = 8  # a table takes at least its 4-byte offset and its 4-byte vtable offset
    allowance.spend(reference_bytes * (root.OperatorCodesLength() + root.BuffersLength()))
    allowance.spend(reference_bytes * (root.MetadataLength() + root.SubgraphsLength()))
    allowance.spend(reference_bytes * root.SignatureDefsLength())
    for index in range(root.SignatureDefsLength()):
        signature = root.SignatureDefs(index)
        allowance.spend(reference_bytes * (signature.InputsLength() + signature.OutputsLength()))
    for index in range(root.SubgraphsLength()):
        subgraph = root.Subgraphs(index)
        tensors, operators = subgraph.TensorsLength(), subgraph.OperatorsLength()
        allowance.spend(reference_bytes * (tensors + operators))
        for position in range(tensors):
            tensor = subgraph.Tensors(position)
            allowance.spend(len(tensor.Name() or b"") + 4 * tensor.ShapeLength())
            allowance.spend(reference_bytes * tensor.VariantTensorsLength())
        for position in range(operators):
            operator = subgraph.Operators(position)
            allowance.spend(4 * (operator.InputsLength() + operator.OutputsLength()))


class Reader:
    """Turns a `ModelT` into validated facts of its first subgraph."""

    def __init__(self, root: Any, content: bytes) -> None:
        self.root = root
        self.content = content
        if not root.subgraphs or root.buffers is None:
            raise InvalidModelError("The .tflite file has no subgraph: it holds no model.")
        self.graph = root.subgraphs[0]
        self.tensor_count = len(_entries(self.graph.tensors))

    def tensors(self) -> tuple[Tensor, ...]:
        """Every tensor, its buffer's size checked against its shape."""
        return tuple(self._tensor(i, t) for i, t in enumerate(_entries(self.graph.tensors)))

    def ops(self) -> tuple[Op, ...]:
        """Every operator, its tensor indices and operator code checked."""
        return tuple(self._op(i, o) for i, o in enumerate(_entries(self.graph.operators)))

    def indices(
        self, values: Iterable[int] | None, where: str, absent: bool = False
    ) -> tuple[int, ...]:
        """`values` as tensor indices, each within range; `absent` allows -1."""
        found = tuple(int(value) for value in (() if values is None else values))
        for value in found:
            if not (0 <= value < self.tensor_count or (absent and value == -1)):
                raise InvalidModelError(
                    f"The .tflite file is damaged: {where} names tensor {value}, "
                    f"but there are {self.tensor_count} tensors."
                )
        return found

    def stored(self, buffer_index: int) -> np.ndarray:
        """The raw bytes of a buffer, uint8; empty when the file stores none."""
        if not 0 <= buffer_index < len(self.root.buffers):
            raise InvalidModelError(
                f"The .tflite file is damaged: it names buffer {buffer_index}, "
                f"but there are {len(self.root.buffers)} buffers."
            )
        return stored_bytes(self.root.buffers[buffer_index], self.content)

    def _tensor(self, index: int, raw: Any) -> Tensor:
        where = f"tensor {index} ({text(raw.name)})"
        dtype = dtype_names().get(raw.type)
        shape = tuple(int(size) for size in _entries(raw.shape))
        if dtype is None or len(shape) > _MAX_RANK or any(size < 0 for size in shape):
            raise InvalidModelError(
                f"The .tflite file is damaged: {where} has type {raw.type} and shape {shape[:20]}."
            )
        data = self.stored(raw.buffer)
        elsewhere = bool(raw.externalBuffer)
        tensor = Tensor(
            index=index,
            name=text(raw.name),
            shape=shape,
            dtype=dtype,
            quantization=self._quantization(raw.quantization, len(shape), where),
            is_constant=bool(data.size) or elsewhere,
            is_variable=bool(raw.isVariable),
            is_external=elsewhere or is_external(self.root.buffers[raw.buffer]),
            is_sparse=raw.sparsity is not None,
            size_bytes=int(data.size),
            has_dynamic_shape=any(size < 0 for size in _entries(raw.shapeSignature)),
        )
        needed_bytes = stored_size_bytes(dtype, tensor.value_count)
        if data.size and not tensor.is_sparse and needed_bytes not in (None, data.size):
            raise InvalidModelError(
                f"The .tflite file is damaged: {where} of shape {shape} and type {dtype} needs "
                f"{needed_bytes} bytes, but {data.size} are stored."
            )
        return tensor

    def _quantization(self, raw: Any, rank: int, where: str) -> Quantization | None:
        if raw is None:
            return None
        blockwise = raw.details if hasattr(raw.details, "blockSize") else None
        scales = self._block_scales(blockwise) if blockwise else _floats(raw.scale)
        if not scales.size:
            return None
        zero_points = np.asarray(_entries(raw.zeroPoint), np.int64).ravel()
        if not zero_points.size:
            zero_points = np.zeros(scales.size, np.int64)
        per_axis = scales.size > 1 or blockwise is not None
        axis = int(raw.quantizedDimension) if per_axis else None
        one_each = zero_points.size in (1, scales.size) or blockwise is not None
        if not one_each or (axis is not None and not 0 <= axis < max(rank, 1)):
            raise InvalidModelError(
                f"The .tflite file is damaged: {where} has {scales.size} scales, "
                f"{zero_points.size} zero points and quantized dimension {raw.quantizedDimension}."
            )
        if zero_points.size != scales.size:
            zero_points = np.full(scales.size, zero_points[0], np.int64)
        return Quantization(scales, zero_points, axis, int(blockwise.blockSize) if blockwise else 0)

    def _block_scales(self, blockwise: Any) -> np.ndarray:
        (index,) = self.indices([blockwise.scales], "a blockwise quantization")
        raw = self.graph.tensors[index]
        dtype = {"float16": np.float16, "float32": np.float32}.get(dtype_names().get(raw.type, ""))
        data = self.stored(raw.buffer)
        if dtype is None or data.size % np.dtype(dtype).itemsize:
            raise InvalidModelError(
                f"The .tflite file is damaged: the scales of a blockwise quantization, tensor "
                f"{index}, are no float16 or float32 values."
            )
        return np.frombuffer(data.tobytes(), dtype).astype(np.float32)

    def _op(self, index: int, raw: Any) -> Op:
        codes = _entries(self.root.operatorCodes)
        if not 0 <= raw.opcodeIndex < len(codes):
            raise InvalidModelError(
                f"The .tflite file is damaged: op {index} names operator code {raw.opcodeIndex}, "
                f"but there are {len(codes)} codes."
            )
        code = codes[raw.opcodeIndex]
        where = f"op {index}"
        self.indices(raw.intermediates, where, absent=True)
        return Op(
            index=index,
            name=op_name(code),
            version=int(code.version),
            inputs=self.indices(raw.inputs, where, absent=True),
            outputs=self.indices(raw.outputs, where),
            options=raw.builtinOptions if raw.builtinOptions is not None else raw.builtinOptions2,
        )


def op_name(code: Any) -> str:
    """What `Op.name` calls the op of a schema `OperatorCodeT`."""
    number = max(int(code.builtinCode), int(code.deprecatedBuiltinCode))
    name = op_names().get(number)
    if name is None:
        raise InvalidModelError(
            f"The .tflite file uses operator code {number}, which this ai-edge-litert does not "
            "know: the file is damaged, or ai-edge-litert must be upgraded."
        )
    if name != "CUSTOM":
        return name
    custom = text(code.customCode)
    is_flex = custom.startswith("Flex")
    return f"FLEX:{custom.removeprefix('Flex')}" if is_flex else f"CUSTOM:{custom}"


def is_external(buffer: Any) -> bool:
    """Whether a schema `BufferT` keeps its bytes behind the flatbuffer."""
    return int(buffer.offset) not in _EMPTY_BUFFERS


def stored_bytes(buffer: Any, content: bytes) -> np.ndarray:
    """The bytes of a schema `BufferT` of the file `content`, uint8, wherever they lie."""
    if not is_external(buffer):
        return np.asarray(_entries(buffer.data), np.uint8)
    end = int(buffer.offset) + int(buffer.size)
    if end > len(content):
        raise InvalidModelError(
            f"The .tflite file is cut off: a buffer ends at byte {end}, the file at {len(content)}."
        )
    return np.frombuffer(content, np.uint8, count=int(buffer.size), offset=int(buffer.offset))


def text(raw: bytes | str | None) -> str:
    """A name of the schema as a string; undecodable bytes are escaped."""
    if isinstance(raw, bytes):
        return raw.decode("utf-8", "backslashreplace")
    return raw or ""


def _entries(values: Any) -> Any:
    return () if values is None else values


def _floats(values: Any) -> np.ndarray:
    return np.asarray(_entries(values), np.float32).ravel()
