"""Where the logits are, and the multiply-accumulates of each kind of op, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec
from tfgreen.flatbuffer import TfliteModel, logits, multiply_accumulates


def chain(*names: str) -> TfliteModel:
    """x -> names[0] -> t0 -> names[1] -> t1 ..., all (1, 4)."""
    specs = [TensorSpec("x", (1, 4), scale=0.1)]
    ops = []
    for position, name in enumerate(names):
        ops.append(OpSpec(name, [specs[-1].name], [f"t{position}"]))
        specs.append(TensorSpec(f"t{position}", (1, 4), scale=0.1))
    return TfliteModel.from_bytes(tiny_models.build(specs, ops, ["x"], [specs[-1].name]))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["RELU", "SOFTMAX"], "t0"),
        (["RELU", "LOGISTIC", "DEQUANTIZE"], "t0"),
        (["RELU", "DEQUANTIZE", "SOFTMAX", "QUANTIZE"], "t0"),
        (["RELU", "SOFTMAX", "RESHAPE"], "t0"),
        (["RELU", "RESHAPE", "SOFTMAX"], "t1"),
        (["RELU", "RESHAPE"], "t1"),
        (["RELU", "DEQUANTIZE"], "t0"),
        (["RELU"], "t0"),
        (["LOGISTIC", "LOGISTIC"], "t0"),  # only the last one squashes the output
        (["SOFTMAX"], "x"),
    ],
)
def test_logits_lie_before_the_trailing_chain(names: list[str], expected: str) -> None:
    model = chain(*names)
    assert [model.tensors[index].name for index in logits(model)] == [expected]


def test_logits_give_one_tensor_for_each_output() -> None:
    specs = [TensorSpec(name, (1, 4), scale=0.1) for name in ("x", "h", "scores")]
    ops = [OpSpec("RELU", ["x"], ["h"]), OpSpec("SOFTMAX", ["h"], ["scores"])]
    model = TfliteModel.from_bytes(tiny_models.build(specs, ops, ["x"], ["scores", "h"]))
    assert logits(model) == (1, 1)


def macs(op: OpSpec, **shapes: tuple[int, ...]) -> int:
    specs = [TensorSpec(name, shape, "float32") for name, shape in shapes.items()]
    content = tiny_models.build(specs, [op], [op.inputs[0]], op.outputs)
    model = TfliteModel.from_bytes(content)
    return multiply_accumulates(model, model.ops[0])


def test_multiply_accumulates() -> None:
    conv = OpSpec("CONV_2D", ["x", "w"], ["y"])
    assert macs(conv, x=(1, 8, 8, 3), w=(16, 3, 3, 3), y=(1, 4, 4, 16)) == (4 * 4 * 16) * (
        3 * 3 * 3
    )
    grouped = macs(conv, x=(1, 8, 8, 4), w=(16, 3, 3, 2), y=(1, 4, 4, 16))
    assert grouped == (4 * 4 * 16) * (3 * 3 * 2)
    depthwise = OpSpec("DEPTHWISE_CONV_2D", ["x", "w"], ["y"])
    counted = macs(depthwise, x=(1, 8, 8, 6), w=(1, 3, 5, 6), y=(1, 8, 8, 6))
    assert counted == (8 * 8 * 6) * (3 * 5)
    dense = OpSpec("FULLY_CONNECTED", ["x", "w", ""], ["y"])
    assert macs(dense, x=(2, 10), w=(7, 10), y=(2, 7)) == 2 * 10 * 7
    transposed = OpSpec("TRANSPOSE_CONV", ["s", "w", "x"], ["y"])
    counted = macs(transposed, s=(4,), w=(5, 2, 2, 3), x=(1, 4, 4, 3), y=(1, 8, 8, 5))
    assert counted == (4 * 4) * (5 * 2 * 2 * 3)
    assert macs(OpSpec("ADD", ["x", "x"], ["y"]), x=(1, 4), y=(1, 4)) == 0


@pytest.mark.parametrize(("adjoint", "left"), [(False, (1, 4, 6)), (True, (1, 6, 4))])
def test_multiply_accumulates_of_a_matrix_product(adjoint: bool, left: tuple[int, ...]) -> None:
    op = OpSpec("BATCH_MATMUL", ["a", "b"], ["y"], {"adjX": adjoint})
    assert macs(op, a=left, b=(1, 6, 5), y=(1, 4, 5)) == 4 * 6 * 5


def test_multiply_accumulates_need_no_values() -> None:
    model = TfliteModel.from_bytes(tiny_models.int8_conv(size=6, channels=3, filters=4))
    assert multiply_accumulates(model, model.ops[0]) == np.prod([6, 6, 4, 3, 3, 3])
