"""Real numbers to stored integers and back."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec
from tfgreen.errors import InvalidDataError, UnsupportedModelError
from tfgreen.flatbuffer import Quantization, TfliteModel
from tfgreen.runtimes import dequantize, quantize_inputs


def samples(**inputs: np.ndarray) -> SimpleNamespace:
    return SimpleNamespace(inputs=inputs)


def model_of(*inputs: TensorSpec) -> TfliteModel:
    names = [spec.name for spec in inputs]
    output = TensorSpec("y", (1,), "float32")
    op = OpSpec("ADD_N", names, ["y"])
    return TfliteModel.from_bytes(tiny_models.build([*inputs, output], [op], names, ["y"]))


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point", "values", "expected"),
    [
        # 0.3 / 0.1 - 10 = -7; 0.25 / 0.1 = 2.5, to even 2; the ends are clipped
        ("int8", 0.1, -10, [0.3, 0.25, 99, -99], [-7, -8, 127, -128]),
        ("uint8", 1 / 255, 0, [0.0, 1.0, 0.4, 2.0], [0, 255, 102, 255]),
        ("int16", 2.0, 0, [3.0, -5.0, 1e6, -1e6], [2, -2, 32767, -32768]),
    ],
)
def test_quantized_inputs(dtype, scale, zero_point, values, expected) -> None:
    model = model_of(TensorSpec("x", (1, 4), dtype, scale=scale, zero_point=zero_point))
    (stored,) = quantize_inputs(model, samples(x=np.array([values])))
    assert stored.dtype == dtype and stored.shape == (1, 1, 4)
    assert stored[0, 0].tolist() == expected


def test_inputs_are_found_by_name_and_given_in_graph_order() -> None:
    model = model_of(TensorSpec("b", (1, 2), "float32"), TensorSpec("a", (1, 2), "float32"))
    b, a = quantize_inputs(model, samples(a=np.ones((3, 2)), b=np.zeros((3, 2))))
    assert not b.any() and a.all() and a.dtype == np.float32
    with pytest.raises(InvalidDataError, match="no input 'b'; received a, c, expected b, a"):
        quantize_inputs(model, samples(a=np.ones((3, 2)), c=np.zeros((3, 2))))


def test_one_array_serves_one_input_whatever_its_name() -> None:
    model = model_of(TensorSpec("image", (1, 2), "float32"))
    assert quantize_inputs(model, samples(x=np.ones((3, 2))))[0].shape == (3, 1, 2)


def test_batches_of_the_file_s_size() -> None:
    model = model_of(TensorSpec("x", (4, 2), "float32"))
    x = np.arange(16.0).reshape(8, 2)
    (stored,) = quantize_inputs(model, samples(x=x))
    np.testing.assert_array_equal(stored, x.reshape(2, 4, 2))
    with pytest.raises(InvalidDataError, match="6 samples, which do not fill batches of 4"):
        quantize_inputs(model, samples(x=x[:6]))


def test_wrong_shapes_and_values_are_refused() -> None:
    model = model_of(TensorSpec("x", (1, 2), scale=0.1))
    with pytest.raises(InvalidDataError, match=r"shape \(3, 5\); expected \(n, 2\)"):
        quantize_inputs(model, samples(x=np.ones((3, 5))))
    with pytest.raises(InvalidDataError, match="at least one sample"):
        quantize_inputs(model, samples(x=np.ones((0, 2))))
    with pytest.raises(InvalidDataError, match="NaN or infinite"):
        quantize_inputs(model, samples(x=np.array([[1, np.nan]])))


def test_plain_inputs_are_cast_only_exactly() -> None:
    model = model_of(TensorSpec("tokens", (1, 2), "int32"))
    assert quantize_inputs(model, samples(tokens=np.array([[1.0, 2.0]])))[0].dtype == np.int32
    with pytest.raises(InvalidDataError, match="takes int32"):
        quantize_inputs(model, samples(tokens=np.array([[1.5, 2.0]])))
    narrow = model_of(TensorSpec("x", (1, 1), "float32"))
    assert quantize_inputs(narrow, samples(x=np.array([[0.1]])))[0].dtype == np.float32
    with pytest.raises(UnsupportedModelError, match="string"):
        quantize_inputs(model_of(TensorSpec("s", (1, 1), "string")), samples(s=np.zeros((1, 1))))


def test_dequantize_per_channel() -> None:
    quantization = Quantization(np.array([0.5, 2.0], np.float32), np.array([0, 1]), 1)
    real = dequantize(np.array([[2, 3], [4, 5]], np.int8), quantization)
    assert real.tolist() == [[1.0, 4.0], [2.0, 8.0]] and real.dtype == np.float32


def test_dequantize_keeps_32_bit_integers_exact() -> None:
    quantization = Quantization(np.array([1.0], np.float32), np.array([1]), None)
    stored = np.array([2**24 + 1], np.int32)  # not a float32
    assert dequantize(stored, quantization).tolist() == [2.0**24]
    assert dequantize(stored, None).dtype == np.float32


@given(
    st.lists(st.floats(-100, 100, width=32), min_size=2, max_size=2),
    st.floats(0.0078125, 4, width=32),
    st.integers(-128, 127),
)
def test_a_round_trip_is_off_by_half_a_quantum_at_most(values, scale, zero_point) -> None:
    model = model_of(TensorSpec("x", (1, 2), scale=scale, zero_point=zero_point))
    (stored,) = quantize_inputs(model, samples(x=np.array([values])))
    low, high = (-128 - zero_point) * scale, (127 - zero_point) * scale
    error = dequantize(stored, model.tensors[0].quantization) - np.clip([values], low, high)
    assert np.abs(error).max() <= scale * (0.5 + 1e-4) + 1e-5
