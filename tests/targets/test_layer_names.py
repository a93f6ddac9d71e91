"""The Keras layer of an op, from the names that converters give to tensors."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.flatbuffer import TfliteModel
from tfgreen.targets.layer_names import layer_clause, layer_of


def chain(names: Sequence[str], op: str = "RELU") -> TfliteModel:
    tensors = [TensorSpec(name, (1, 4), scale=0.1) for name in names]
    pairs = zip(names[:-1], names[1:], strict=True)
    ops = [OpSpec(op, [first], [second]) for first, second in pairs]
    return TfliteModel.from_bytes(build(tensors, ops, [names[0]], [names[-1]]))


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("net_1/dense_1/MatMul", "dense"),
        ("net_1/dense_1_2/MatMul", "dense_1"),
        ("net_1/norm_1/moments/mean", "norm"),
        ("net_1/inner_1/dense_1/MatMul", "inner/dense"),
        ("net/dense/MatMul", "dense"),
        ("net/block_1/dense/MatMul", "block_1/dense"),
        ("StatefulPartitionedCall:0", None),
        ("serving_default_x:0", None),
        ("a//b", None),
        ("net/relu_1/Relu;net/dense/MatMul", "relu_1"),
    ],
)
def test_layer(name: str, layer: str | None) -> None:
    model = chain(["x", name])
    assert layer_of(model, model.ops[0]) == layer


def test_a_fused_name_tells_the_layer_of_the_op_itself() -> None:
    name = "net_1/relu_1/Relu;net_1/norm_1/batchnorm/add_1;net_1/maps_1/convolution"
    model = chain(["x", name], "CONV_2D")
    assert layer_of(model, model.ops[0]) == "maps"
    model = chain(["x", name], "ADD")
    assert layer_of(model, model.ops[0]) == "relu"


def test_clauses() -> None:
    model = chain(["x", "net_1/dense_1/MatMul", "Identity:0"])
    assert [layer_clause(model, op) for op in model.ops] == [
        " of layer 'dense'",
        " after layer 'dense'",
    ]
    model = chain(["x", "y"])
    assert layer_clause(model, model.ops[0]) == ""
