"""Other dtypes at the boundary: the edited file's answers are those of NumPy's arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec
from tfgreen.errors import UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.runtimes import Task, availability, run_tasks
from tfgreen.tflite.boundary import with_boundary

CLASSIFIER = tiny_models.int8_classifier()
SETS = [name for name in ("reference", "xnnpack", "micro") if availability(name).available]
INPUT_SCALE = 1 / 128


def run(content: bytes, *arrays: np.ndarray, kernel_set: str = "reference") -> list[np.ndarray]:
    (outcome,) = run_tasks(kernel_set, [Task("file", content, arrays)])
    assert outcome.ok, outcome.message
    return list(outcome.outputs)


def op_names(content: bytes) -> list[str]:
    return [op.name for op in TfliteModel.from_bytes(content).ops]


def op_versions(content: bytes) -> list[tuple[str, int]]:
    return [(op.name, op.version) for op in TfliteModel.from_bytes(content).ops]


@pytest.fixture(scope="module")
def stored() -> np.ndarray:
    return np.random.default_rng(7).integers(-128, 128, (32, 1, 16), np.int8)


@pytest.mark.parametrize("kernel_set", SETS)
def test_uint8_is_int8_moved_by_128(kernel_set: str, stored: np.ndarray) -> None:
    content = with_boundary(CLASSIFIER, "uint8", "uint8")
    assert op_names(content) == ["QUANTIZE", "FULLY_CONNECTED", "SOFTMAX", "QUANTIZE"]
    moved = (stored.astype(np.int16) + 128).astype(np.uint8)
    (plain,) = run(CLASSIFIER, stored, kernel_set=kernel_set)
    (output,) = run(content, moved, kernel_set=kernel_set)
    assert output.dtype == np.uint8
    np.testing.assert_array_equal(output.astype(np.int16), plain.astype(np.int16) + 128)


@pytest.mark.parametrize("kernel_set", SETS)
def test_float_is_quantized_and_dequantized_as_numpy_does(
    kernel_set: str, stored: np.ndarray
) -> None:
    """A quarter of a step beside each stored value, and far beyond the range: both are known."""
    content = with_boundary(CLASSIFIER, "float32", "float32")
    assert op_versions(content)[::3] == [("QUANTIZE", 1), ("DEQUANTIZE", 2)]
    real = (stored + 0.25).astype(np.float32) * np.float32(INPUT_SCALE)
    real[0, 0, 0], real[0, 0, 1] = 99, -99
    expected_input = stored.copy()
    expected_input[0, 0, :2] = 127, -128
    (plain,) = run(CLASSIFIER, expected_input, kernel_set=kernel_set)
    (output,) = run(content, real, kernel_set=kernel_set)
    assert output.dtype == np.float32
    np.testing.assert_array_equal(output, (plain.astype(np.float32) + 128) / np.float32(256))


def test_input_and_output_are_separate(stored: np.ndarray) -> None:
    content = with_boundary(CLASSIFIER, "uint8", "float32")
    assert op_names(content) == ["QUANTIZE", "FULLY_CONNECTED", "SOFTMAX", "DEQUANTIZE"]
    model = TfliteModel.from_bytes(content)
    dtypes = [model.tensors[i].dtype for i in (*model.inputs, *model.outputs)]
    assert dtypes == ["uint8", "float32"]


def test_scales_are_the_inner_ones_and_names_stay() -> None:
    model = TfliteModel.from_bytes(with_boundary(CLASSIFIER, "uint8", "uint8"))
    assert (model.input_names, model.output_names) == (("x",), ("scores",))
    given, answered = model.tensors[model.inputs[0]], model.tensors[model.outputs[0]]
    assert (given.name, answered.name) == ("serving_x:0_uint8", "scores:0_uint8")
    assert given.quantization.scales.tolist() == [INPUT_SCALE]
    assert given.quantization.zero_points.tolist() == [128]
    assert answered.quantization.scales.tolist() == [1 / 256]
    assert answered.quantization.zero_points.tolist() == [0]
    assert (given.shape, answered.shape) == ((1, 16), (1, 4))


@pytest.mark.parametrize("types", [("int8", "int8")])
def test_a_boundary_that_fits_is_left_alone(types: tuple[str, str]) -> None:
    assert with_boundary(CLASSIFIER, *types) is CLASSIFIER


def test_16_bits_become_float() -> None:
    scales = {"x": 2.0**-10, "y": 2.0**-10}
    specs = [TensorSpec(name, (1, 3), "int16", scale) for name, scale in scales.items()]
    content = tiny_models.build(specs, [OpSpec("RELU", ["x"], ["y"])], ["x"], ["y"])
    changed = with_boundary(content, "float32", "float32")
    assert op_versions(changed) == [("QUANTIZE", 1), ("RELU", 1), ("DEQUANTIZE", 3)]
    values = np.array([[[-1.5, 0.25, 31.0]]], np.float32)
    (output,) = run(changed, values)
    assert output.tolist() == [[[0.0, 0.25, 31.0]]]


def test_several_inputs_and_tokens() -> None:
    """Two int8 inputs become uint8, each with its own scale; the indices stay as they are."""
    rows = np.arange(8, dtype=np.int8).reshape(4, 2)
    specs = [
        TensorSpec("token", (1,), "int32"),
        TensorSpec("table", (4, 2), scale=0.5, data=rows),
        TensorSpec("row", (1, 2), scale=0.5),
        TensorSpec("a", (1, 2), scale=0.5),
        TensorSpec("b", (1, 2), scale=0.25, zero_point=-3),
        TensorSpec("most", (1, 2), scale=0.5),
        TensorSpec("half", (1, 2), scale=0.25, zero_point=-3),
    ]
    ops = [
        OpSpec("GATHER", ["table", "token"], ["row"], version=2),
        OpSpec("MAXIMUM", ["row", "a"], ["most"], version=2),
        OpSpec("RELU", ["b"], ["half"], version=2),
    ]
    content = tiny_models.build(specs, ops, ["token", "a", "b"], ["most", "half"])
    changed = with_boundary(content, "uint8", "uint8")
    assert op_names(changed)[-2:] == ["QUANTIZE", "QUANTIZE"]
    token = np.array([[3]], np.int32)
    a, b = np.array([[[120, 135]]], np.uint8), np.array([[[125, 140]]], np.uint8)
    most, half = run(changed, token, a, b)
    # row 3 of the table is 6, 7; a - 128 is -8, 7; b's zero point is 125 now
    assert most.tolist() == [[[6 + 128, 7 + 128]]]
    assert half.tolist() == [[[125, 140]]]


@pytest.mark.parametrize("types", [("int16", "int8"), ("int8", "int16")])
def test_a_step_that_does_not_exist_is_refused(types: tuple[str, str]) -> None:
    with pytest.raises(UnsupportedModelError, match="is int8; there is no step from it to int16"):
        with_boundary(CLASSIFIER, *types)


def test_the_source_is_not_changed() -> None:
    before = bytes(CLASSIFIER)
    with_boundary(CLASSIFIER, "uint8", "uint8")
    assert before == CLASSIFIER


@pytest.mark.parametrize("kernel_set", SETS)
def test_a_16_bit_output_is_narrowed_to_8(kernel_set: str) -> None:
    """By 256 steps, rounded; the int16 values are those of the layer itself."""
    tensors = [
        TensorSpec("x", (1, 8), "int16", 1 / 256),
        TensorSpec("y", (1, 8), "int16", 1 / 256),
    ]
    reshape = OpSpec("RESHAPE", ["x"], ["y"], {"newShape": [1, 8]})
    content = tiny_models.build(tensors, [reshape], ["x"], ["y"])
    narrowed = with_boundary(content, "int16", "int8")
    assert op_names(narrowed) == ["RESHAPE", "QUANTIZE"]
    wide = np.random.default_rng(0).integers(-32768, 32767, (64, 1, 8), np.int16)
    (output,) = run(narrowed, wide, kernel_set=kernel_set)
    assert output.dtype == np.int8
    expected = np.clip(np.rint(wide / 256), -128, 127)
    assert np.abs(output - expected).max() <= 1  # ties
    assert (output == expected).mean() > 0.98
