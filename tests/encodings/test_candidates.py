"""Which constants are packed: weights that become smaller by it, and no others."""

from __future__ import annotations

import numpy as np
import pytest

from tests import tiny_models
from tests.encodings.networks import Kind, layer
from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.encodings.candidates import OVERHEAD_BYTES, candidate, weights_are_compressible
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import Encoding


def model(kind: Kind = "conv", dtype: str = "int8", **options: float) -> TfliteModel:
    return TfliteModel.from_bytes(layer(kind, dtype, **options))


def test_pruning_and_clustering_show() -> None:
    assert weights_are_compressible(model(zeros=0.55))
    assert not weights_are_compressible(model(zeros=0.4))
    assert weights_are_compressible(model(zeros=0, values=16))
    assert not weights_are_compressible(model(zeros=0))
    assert not weights_are_compressible(model("depthwise", zeros=0))  # 9 weights have few values
    assert not weights_are_compressible(TfliteModel.from_bytes(tiny_models.float_add()))


@pytest.mark.parametrize(
    ("encoding", "methods"),
    [("sparse", {"sparse": 1}), ("lut", {"lut": 1}), ("decode", {"huffman": 1})],
)
def test_each_encoding_is_smaller(encoding: Encoding, methods: dict[str, int]) -> None:
    dense = model(zeros=0.8, values=5)
    made = candidate(dense, encoding)
    assert made is not None
    assert (made.encoding, made.methods) == (encoding, methods)
    assert len(made.content) < len(dense.content)


def test_a_bit_map_where_values_are_many() -> None:
    made = candidate(model(zeros=0.9), "decode")
    assert made is not None
    assert made.methods == {"bitmap": 1}


@pytest.mark.parametrize("encoding", ["sparse", "lut", "decode"])
def test_nothing_where_nothing_is_gained(encoding: Encoding) -> None:
    assert candidate(model(zeros=0), encoding) is None
    assert candidate(TfliteModel.from_bytes(tiny_models.int8_classifier()), encoding) is None


@pytest.mark.parametrize("kind", ["conv", "depthwise", "dense"])
def test_the_overhead_is_what_is_reckoned(kind: Kind) -> None:
    """One packed constant costs no more than the allowance beside its bytes."""
    dense = model(kind, zeros=0.95, values=3)
    index = dense.tensor_index("weights")
    made = candidate(dense, "decode")
    if made is None:  # a depthwise kernel is too small to gain anything
        assert dense.tensors[index].size_bytes < 4 * OVERHEAD_BYTES
        return
    packed = TfliteModel.from_bytes(made.content)
    (op,) = [op for op in packed.ops if op.name.startswith("CUSTOM")]
    stored = sum(packed.tensors[i].size_bytes for i in op.inputs)
    more = len(made.content) - (len(dense.content) - dense.tensors[index].size_bytes + stored)
    assert more <= OVERHEAD_BYTES


def test_what_xnnpack_refuses_is_not_made_sparse() -> None:
    assert candidate(model("dense", zeros=0.9), "sparse") is None
    assert candidate(model("dense", "float16", zeros=0.9), "sparse") is not None
    tensors = [
        TensorSpec("x", (1, 640), "float32"),
        TensorSpec("weights", (16, 640), scale=0.1, data=np.zeros((16, 640), np.int8)),
        TensorSpec("y", (1, 16), "float32"),
    ]
    ops = [OpSpec("FULLY_CONNECTED", ["x", "weights", ""], ["y"], {}, 9)]
    hybrid = TfliteModel.from_bytes(build(tensors, ops, ["x"], ["y"]))
    assert candidate(hybrid, "sparse") is None


def test_a_buffer_that_others_share_is_left_alone() -> None:
    root = tiny_models.unpack(layer(zeros=0.9))
    graph = root.subgraphs[0]
    weights = next(t for t in graph.tensors if t.name == b"weights")
    again = tiny_models.unpack(layer(zeros=0.9)).subgraphs[0].tensors[1]
    again.buffer, again.name = weights.buffer, b"again"
    graph.tensors.append(again)
    shared = TfliteModel.from_bytes(tiny_models.pack(root))
    assert candidate(shared, "sparse") is None


def test_the_caller_s_model_is_left_as_it_is() -> None:
    dense = model(zeros=0.9)
    before = dense.content
    candidate(dense, "sparse")
    candidate(dense, "decode")
    assert TfliteModel.from_bytes(before).constant(1).tolist() == dense.constant(1).tolist()
    assert [op.name for op in dense.ops] == ["CONV_2D"]
    assert dense.root.subgraphs[0].tensors[1].name == b"weights"
