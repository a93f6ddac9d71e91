"""Ops that compute from constants alone."""

from __future__ import annotations

import numpy as np

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.flatbuffer import TfliteModel
from tfgreen.runtimes import Task, run_tasks
from tfgreen.verification.folding import constant_ops, fold

HALVES = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float16)


def half_weights() -> bytes:
    """float16 weights, unpacked and then turned, of a FULLY_CONNECTED with 2 inputs."""
    tensors = [
        TensorSpec("x", (1, 2), "float32"),
        TensorSpec("half", (2, 4), "float16", data=HALVES),
        TensorSpec("wide", (2, 4), "float32"),
        TensorSpec("order", (2,), "int32", data=np.array([1, 0], np.int32)),
        TensorSpec("weights", (4, 2), "float32"),
        TensorSpec("y", (1, 4), "float32"),
    ]
    ops = [
        OpSpec("DEQUANTIZE", ["half"], ["wide"]),
        OpSpec("TRANSPOSE", ["wide", "order"], ["weights"]),
        OpSpec("FULLY_CONNECTED", ["x", "weights", ""], ["y"]),
    ]
    return build(tensors, ops, ["x"], ["y"])


def test_ops_behind_constants_count_too() -> None:
    model = TfliteModel.from_bytes(half_weights())
    assert [op.name for op in constant_ops(model)] == ["DEQUANTIZE", "TRANSPOSE"]
    assert constant_ops(TfliteModel.from_bytes(tiny_models.int8_classifier())) == ()


def test_a_folded_file_computes_the_same() -> None:
    model = TfliteModel.from_bytes(half_weights())
    wide, weights = HALVES.astype(np.float32), HALVES.T.astype(np.float32)
    values = {model.tensor_index("wide"): wide, model.tensor_index("weights"): weights}
    folded = fold(model, values)
    assert [op.name for op in folded.ops] == ["FULLY_CONNECTED"]
    assert folded.tensors[model.tensor_index("weights")].is_constant
    x = np.array([[[1.0, 10.0]]], np.float32)
    (outcome,) = run_tasks("optimized", [Task("folded", folded.content, (x,))])
    assert outcome.outputs[0].ravel().tolist() == [51, 62, 73, 84]


def test_nothing_to_fold() -> None:
    model = TfliteModel.from_bytes(tiny_models.int8_classifier())
    assert fold(model, {}) is model
