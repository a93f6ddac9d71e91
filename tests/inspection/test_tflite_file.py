"""Ops, scales, costs and zeros of .tflite files."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tiny_models import OpSpec, TensorSpec, build, float_add, int8_classifier, int8_softmax
from tfgreen.flatbuffer import TfliteModel
from tfgreen.inspection.tflite_file import inspect_tflite


def test_int8_classifier() -> None:
    content = int8_classifier(features=16, classes=4)
    found = inspect_tflite(content, "kws.tflite")
    assert found.size_bytes == len(content)
    assert found.macs == 16 * 4
    assert found.parameters == 16 * 4 + 4
    assert found.weights_bytes == 16 * 4 * 1 + 4 * 4
    assert (found.integer_ops, found.float_ops, found.conversion_ops) == (2, 0, 0)
    assert found.op_counts == {"FULLY_CONNECTED": 1, "SOFTMAX": 1}
    dense, softmax = found.ops
    assert (dense.dtype, dense.shape, dense.zero_point) == ("int8", (1, 4), 3)
    assert dense.scale == pytest.approx(0.04)
    assert (dense.weight_dtype, dense.weight_scales) == ("int8", 4)
    assert (softmax.parameters, softmax.sparsity) == (0, None)


def test_sparsity_counts_the_weights_zeros() -> None:
    model = TfliteModel.from_bytes(int8_classifier())
    weights = model.constant(model.tensor_index("weights"))
    found = inspect_tflite(int8_classifier())
    assert found.sparsity == pytest.approx(float(np.mean(weights == 0)), abs=1e-6)


def test_zeros_of_a_shifted_dtype_are_its_zero_points() -> None:
    weights = np.array([[128, 128], [128, 5]], np.uint8)
    tensors = [
        TensorSpec("x", (1, 2), "uint8", scale=0.1),
        TensorSpec("w", (2, 2), "uint8", scale=0.1, zero_point=128, data=weights),
        TensorSpec("y", (1, 2), "uint8", scale=0.1),
    ]
    content = build(tensors, [OpSpec("FULLY_CONNECTED", ["x", "w", ""], ["y"])], ["x"], ["y"])
    assert inspect_tflite(content).sparsity == 0.75


def test_float_ops_are_told() -> None:
    found = inspect_tflite(float_add())
    assert (found.integer_ops, found.float_ops) == (0, 1)
    assert found.parameters == 0
    assert found.sparsity is None


def test_known_bad_kernels_are_told() -> None:
    tensors = [
        TensorSpec("x", (1, 4), scale=0.1),
        TensorSpec("axis", (1,), "int32", data=np.array([1], np.int32)),
        TensorSpec("y", (1,), scale=0.1),
    ]
    content = build(tensors, [OpSpec("SUM", ["x", "axis"], ["y"])], ["x"], ["y"])
    found = inspect_tflite(content)
    assert found.ops[0].remarks[0].startswith("reference gives the same saturated number")
    assert found.parameters == 0, "an axis is no parameter"


def test_kernels_that_abort_are_told() -> None:
    remarks = inspect_tflite(int8_softmax(512)).ops[0].remarks
    assert [remark.split(" ")[:2] for remark in remarks] == [
        ["reference", "aborts"],
        ["micro", "aborts"],
    ]
    assert inspect_tflite(int8_softmax(511)).ops[0].remarks == ()


def test_json_comes_back() -> None:
    found = inspect_tflite(int8_classifier())
    assert type(found).model_validate_json(found.to_json()) == found
