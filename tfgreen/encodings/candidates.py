"""Which constants of a file are worth packing, and the files that come of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tfgreen.encodings.bitmap import encode_bitmap
from tfgreen.encodings.huffman import encode_huffman
from tfgreen.encodings.lut import encode_lut
from tfgreen.encodings.packed import Packed
from tfgreen.encodings.rewriting import (
    PACKABLE_DTYPES,
    with_packed_constants,
    with_sparse_constants,
)
from tfgreen.encodings.sparse import SparseArray, encode_sparse
from tfgreen.flatbuffer import Op, Tensor, TfliteModel
from tfgreen.flatbuffer.facts import FLOAT_DTYPES
from tfgreen.profile import Encoding

OVERHEAD_BYTES = 256
"""What a packed constant costs beside its bytes: tensors, an op and padding; measured: 180-260."""

_WEIGHTS = {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1}
_LEAST_ZEROS, _MOST_VALUES, _LEAST_SHARING, _LEAST_SHARE = 0.5, 64, 2, 0.25


@dataclass(frozen=True)
class Candidate:
    """A file with some of its constants packed.

    Attributes:
        encoding: The kind of file; `dense` is the file as it came.
        content: The file.
        methods: How many constants are packed in which way.
    """

    encoding: Encoding
    content: bytes
    methods: Mapping[str, int]


def weights_are_compressible(model: TfliteModel) -> bool:
    """Whether pruning or clustering shows: zeros, or few values in each channel.

    At least a quarter of the weights' bytes have to lie in tensors that are half zeros, or that
    hold at most 64 different values a channel, and no more than half as many as weights.
    """
    total = found = 0
    for tensor in _weights(model):
        total += tensor.size_bytes
        if _is_compressible(model.constant(tensor.index), tensor):
            found += tensor.size_bytes
    return found > _LEAST_SHARE * total


def candidate(model: TfliteModel, encoding: Encoding) -> Candidate | None:
    """The file in one encoding; None where not one constant becomes smaller by it."""
    if encoding == "sparse":
        return _sparse(model)
    return _packed(model, _METHODS[encoding])


def _sparse(model: TfliteModel) -> Candidate | None:
    arrays: dict[int, SparseArray] = {}
    for tensor in _weights(model):
        if tensor.shape and not _is_refused_sparse(model, tensor):
            array = encode_sparse(model.constant(tensor.index))
            if array.size_bytes + OVERHEAD_BYTES < tensor.size_bytes:
                arrays[tensor.index] = array
    if not arrays:
        return None
    return Candidate("sparse", with_sparse_constants(model, arrays), {"sparse": len(arrays)})


def _is_refused_sparse(model: TfliteModel, tensor: Tensor) -> bool:
    """What XNNPACK (LiteRT 2.3.0) refuses: int8 of FULLY_CONNECTED, and int8 of float ops."""
    if tensor.dtype in FLOAT_DTYPES:
        return False
    consumers = model.consumers(tensor.index)
    return tensor.dtype != "int8" or any(
        op.name == "FULLY_CONNECTED" or model.tensors[op.inputs[0]].dtype in FLOAT_DTYPES
        for op in consumers
    )


_Encoder = Callable[[np.ndarray, Tensor], Packed | None]


def _packed(model: TfliteModel, encoders: Mapping[str, _Encoder]) -> Candidate | None:
    arrays: dict[int, Packed] = {}
    for tensor in _weights(model):
        values = model.constant(tensor.index)
        found = [packed for encode in encoders.values() if (packed := encode(values, tensor))]
        best = min(found, key=lambda packed: packed.size_bytes, default=None)
        if best is not None and best.size_bytes + OVERHEAD_BYTES < tensor.size_bytes:
            arrays[tensor.index] = best
    if not arrays:
        return None
    used = [packed.method for packed in arrays.values()]
    methods = {str(method): used.count(method) for method in dict.fromkeys(used)}
    encoding: Encoding = "lut" if set(encoders) == {"lut"} else "decode"
    return Candidate(encoding, with_packed_constants(model, arrays), methods)


def _lut(values: np.ndarray, tensor: Tensor) -> Packed | None:
    """A table for each channel that has its own scale: the kernel goes by the scales."""
    if not _has_outer_channels(tensor):
        return None
    return encode_lut(values, tensor.quantization.axis if tensor.quantization else None)


def _bitmap(values: np.ndarray, tensor: Tensor) -> Packed | None:
    zero_points = tensor.quantization.zero_points if tensor.quantization else np.zeros(1)
    if not _has_outer_channels(tensor) or zero_points.any():
        return None
    return encode_bitmap(values)


def _huffman(values: np.ndarray, tensor: Tensor) -> Packed | None:
    return encode_huffman(values)


_METHODS: Mapping[str, Mapping[str, _Encoder]] = {
    "lut": {"lut": _lut},
    "decode": {"lut": _lut, "bitmap": _bitmap, "huffman": _huffman},
}


def _has_outer_channels(tensor: Tensor) -> bool:
    """The kernel refuses scales along any but the first and the last dimension."""
    if tensor.quantization is None or tensor.quantization.axis is None:
        return True
    return tensor.quantization.axis in (0, len(tensor.shape) - 1)


def _weights(model: TfliteModel) -> Iterator[Tensor]:
    """Constants that are only weights of layers, each with a buffer of its own."""
    graphs = model.root.subgraphs
    uses = Counter(int(raw.buffer) for graph in graphs for raw in graph.tensors or ())
    for tensor in model.tensors:
        plain = tensor.is_constant and not (tensor.is_sparse or tensor.is_external)
        if not plain or tensor.dtype not in PACKABLE_DTYPES or tensor.is_variable:
            continue
        consumers = model.consumers(tensor.index)
        if not consumers or tensor.index in model.outputs:
            continue
        alone = uses[int(graphs[0].tensors[tensor.index].buffer)] == 1
        if alone and all(_reads_weights(model, op, tensor.index) for op in consumers):
            yield tensor


def _reads_weights(model: TfliteModel, op: Op, index: int) -> bool:
    if op.name == "DEQUANTIZE" and model.tensors[index].dtype == "float16":
        return all(
            _reads_weights(model, consumer, op.outputs[0])
            for consumer in model.consumers(op.outputs[0])
        )
    position = _WEIGHTS.get(op.name)
    return position is not None and op.inputs.count(index) == 1 and op.inputs[position] == index


def _is_compressible(values: np.ndarray, tensor: Tensor) -> bool:
    if not values.ndim or np.mean(values == 0) >= _LEAST_ZEROS:
        return bool(values.ndim)
    outer = 0 if tensor.shape[0] > 1 else -1  # depthwise kernels have their channels last
    axis = tensor.quantization.axis if tensor.quantization else outer
    rows = values.reshape(1, -1) if axis is None else np.moveaxis(values, axis, 0)
    rows = rows.reshape(len(rows), -1)
    most = min(_MOST_VALUES, rows.shape[1] // _LEAST_SHARING)
    return all(len(np.unique(row)) <= most for row in rows)  # ends at the first of most models
