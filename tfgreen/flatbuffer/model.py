"""`TfliteModel`: the facts of one .tflite file, read once and never changed."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfgreen.errors import (
    InvalidModelError,
    MissingPathError,
    UnknownNameError,
    UnsupportedModelError,
)
from tfgreen.flatbuffer import reading
from tfgreen.flatbuffer.facts import BITS_PER_VALUE, Op, Tensor

_PREFERRED_SIGNATURE = "serving_default"


@dataclass(frozen=True, eq=False, repr=False)
class TfliteModel:
    """Facts of the first subgraph of a .tflite file, all indices validated.

    Attributes:
        content: The file.
        tensors: By tensor index.
        ops: In execution order.
        inputs: Tensor indices of the graph inputs, in graph order.
        outputs: Tensor indices of the graph outputs, in graph order.
        input_names: One for each of `inputs`: the signature's name for it, else the tensor's.
        output_names: The same for `outputs`.
        signature_keys: Every signature of the file.
        subgraph_count: 1 unless the file has control flow or several signatures.
        root: The schema's `ModelT` that all was read from. Do not change it.
    """

    content: bytes
    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    signature_keys: tuple[str, ...]
    subgraph_count: int
    root: Any = field(repr=False)

    @classmethod
    def from_bytes(cls, content: bytes) -> TfliteModel:
        """Read a file that is already in memory.

        Raises:
            InvalidModelError: damaged, cut off, or no .tflite file.
        """
        content = bytes(content)
        root = reading.unpack(content)
        try:
            return cls._from_root(root, content)
        except InvalidModelError:
            raise
        except reading.DAMAGE as error:
            raise InvalidModelError(
                f"The .tflite file is damaged ({type(error).__name__}: {error})."
            ) from error

    @classmethod
    def read(cls, path: str | Path) -> TfliteModel:
        """Read a file from disk.

        Raises:
            MissingPathError: there is no such file.
            InvalidModelError: unreadable, damaged, or no .tflite file.
        """
        path = Path(path)
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise MissingPathError(f"There is no file {path}.") from error
        except OSError as error:
            raise InvalidModelError(f"{path} cannot be read: {error.strerror}.") from error
        try:
            return cls.from_bytes(content)
        except InvalidModelError as error:
            raise InvalidModelError(f"{path}: {error}") from error

    @classmethod
    def _from_root(cls, root: Any, content: bytes) -> TfliteModel:
        reader = reading.Reader(root, content)
        tensors = reader.tensors()
        inputs = reader.indices(reader.graph.inputs, "the list of graph inputs")
        outputs = reader.indices(reader.graph.outputs, "the list of graph outputs")
        signature = _first_signature(root)
        named_inputs = _signature_names(reader, signature.inputs if signature else None)
        named_outputs = _signature_names(reader, signature.outputs if signature else None)
        return cls(
            content=content,
            tensors=tensors,
            ops=reader.ops(),
            inputs=inputs,
            outputs=outputs,
            input_names=tuple(named_inputs.get(i, tensors[i].name) for i in inputs),
            output_names=tuple(named_outputs.get(i, tensors[i].name) for i in outputs),
            signature_keys=tuple(reading.text(s.signatureKey) for s in root.signatureDefs or ()),
            subgraph_count=len(root.subgraphs),
            root=root,
        )

    def __repr__(self) -> str:
        return f"TfliteModel({len(self.ops)} ops, {len(self.content):,} bytes)"

    def producer(self, tensor_index: int) -> Op | None:
        """The op that writes a tensor; None for inputs, constants and variables."""
        return self._producers.get(tensor_index)

    def consumers(self, tensor_index: int) -> tuple[Op, ...]:
        """The ops that read a tensor, in execution order."""
        return self._consumers.get(tensor_index, ())

    def tensor_index(self, name: str) -> int:
        """The index of the first tensor of that name.

        Raises:
            UnknownNameError: there is none.
        """
        try:
            return self._indices_by_name[name]
        except KeyError:
            raise UnknownNameError("tensor", name, self._indices_by_name) from None

    def constant(self, tensor_index: int) -> np.ndarray:
        """The raw stored values of a constant, in its shape; not dequantized.

        int4, uint4 and int2 values come unpacked, one in each int8 or uint8; bfloat16 comes as
        float32, which holds it exactly.

        Raises:
            UnsupportedModelError: an activation, or stored in a way that has no plain array
                (sparse, in another file, strings).
        """
        tensor, data = self.tensors[tensor_index], self.stored_bytes(tensor_index)
        if not data.size or tensor.is_sparse or tensor.dtype not in BITS_PER_VALUE:
            raise UnsupportedModelError(
                f"Tensor {tensor_index} ({tensor.name}, {tensor.dtype}) has no plain stored "
                "values: it is an activation, sparse, or kept in another file."
            )
        return _decoded(data, tensor.dtype, tensor.value_count).reshape(tensor.shape)

    def stored_bytes(self, tensor_index: int) -> np.ndarray:
        """What the file stores of a tensor, uint8, in whatever format; empty for nothing."""
        buffer_index = self.root.subgraphs[0].tensors[tensor_index].buffer
        return reading.stored_bytes(self.root.buffers[buffer_index], self.content)

    @functools.cached_property
    def _producers(self) -> dict[int, Op]:
        return {index: op for op in self.ops for index in op.outputs}

    @functools.cached_property
    def _consumers(self) -> dict[int, tuple[Op, ...]]:
        readers: dict[int, list[Op]] = {}
        for op in self.ops:
            for index in dict.fromkeys(op.inputs):
                readers.setdefault(index, []).append(op)
        return {index: tuple(ops) for index, ops in readers.items()}

    @functools.cached_property
    def _indices_by_name(self) -> dict[str, int]:
        return {tensor.name: tensor.index for tensor in reversed(self.tensors)}


def _first_signature(root: Any) -> Any:
    """The signature of the first subgraph that names its inputs and outputs, or None."""
    signatures = [s for s in root.signatureDefs or () if s.subgraphIndex == 0]
    signatures.sort(key=lambda s: reading.text(s.signatureKey) != _PREFERRED_SIGNATURE)
    return signatures[0] if signatures else None


def _signature_names(reader: reading.Reader, entries: Any) -> dict[int, str]:
    names: dict[int, str] = {}
    for entry in entries or ():
        (index,) = reader.indices([entry.tensorIndex], "a signature")
        names.setdefault(index, reading.text(entry.name))
    return names


def _decoded(data: np.ndarray, dtype: str, value_count: int) -> np.ndarray:
    """Stored bytes as a flat array of `value_count` values."""
    bits = BITS_PER_VALUE[dtype]
    if bits < 8:
        return _unpacked(data, bits, signed=dtype.startswith("int"))[:value_count]
    if dtype == "bfloat16":
        return (data.view("<u2").astype("<u4") << 16).view("<f4")
    if dtype.startswith("float8"):
        return data.copy()
    return data.view(np.dtype(dtype).newbyteorder("<")).copy()


def _unpacked(data: np.ndarray, bits: int, signed: bool) -> np.ndarray:
    """Values of fewer than 8 bits, the first in the lowest bits of its byte."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    values = ((data[:, np.newaxis] >> shifts) & ((1 << bits) - 1)).ravel().astype(np.int8)
    if not signed:
        return values.view(np.uint8)
    return np.where(values >= 1 << (bits - 1), values - (1 << bits), values).astype(np.int8)
