"""A float file is run beside the model that it came from, before anything is built on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec
from tfgreen.errors import ConversionError
from tfgreen.signature import InputSpec
from tfgreen.tflite.float_check import float_error, probe

Arrays = Mapping[str, np.ndarray]
A = np.array([[1, 2, 3, 4], [-5, 6, 7, 8], [0, 0, 0, 10]], np.float32)
B = np.ones_like(A)


class Model:
    """Predicts by a plain function, and remembers what it was asked."""

    def __init__(self, predict: Callable[[Arrays], Arrays]) -> None:
        self._predict = predict
        self.asked: list[Arrays] = []

    def predict(self, inputs: Arrays) -> Arrays:
        self.asked.append(inputs)
        return self._predict(inputs)


def adding(offset: float = 0.0) -> Model:
    return Model(lambda inputs: {"sum": inputs["a"] + inputs["b"] + np.float32(offset)})


def test_a_file_that_computes_the_same_has_no_error() -> None:
    error = float_error(tiny_models.float_add(), adding(), {"b": B, "a": A}, limit=8)
    assert (error.output, error.relative) == ("sum", 0.0)


def test_the_error_is_relative_to_the_largest_answer() -> None:
    """Answers up to 11, each off by 0.22."""
    error = float_error(tiny_models.float_add(), adding(0.22), {"a": A, "b": B}, limit=8)
    assert error.relative == pytest.approx(0.22 / 11.22, rel=1e-3)


def test_an_error_in_one_sample_counts() -> None:
    def last_is_off(inputs: Arrays) -> Arrays:
        answers = inputs["a"] + inputs["b"]
        answers[2, 3] += 1
        return {"sum": answers}

    error = float_error(tiny_models.float_add(), Model(last_is_off), {"a": A, "b": B}, limit=8)
    assert error.relative == pytest.approx(1 / 12)


def test_at_most_so_many_samples_are_run() -> None:
    model = adding()
    float_error(tiny_models.float_add(), model, {"a": A, "b": B}, limit=2)
    assert [len(array) for array in model.asked[0].values()] == [2, 2]


def test_batches_are_filled() -> None:
    """Three samples for a file that takes two at a time: one batch; one sample: repeated."""
    content, model = tiny_models.float_add((2, 4)), adding()
    assert float_error(content, model, {"a": A, "b": B}, limit=8).relative == 0
    assert float_error(content, model, {"a": A[:1], "b": B[:1]}, limit=8).relative == 0
    assert [len(asked["a"]) for asked in model.asked] == [2, 2]


def two_outputs() -> bytes:
    specs = [TensorSpec(name, (1, 4), "float32") for name in ("x", "minus", "twice")]
    ops = [OpSpec("NEG", ["x"], ["minus"]), OpSpec("ADD", ["x", "x"], ["twice"])]
    return tiny_models.build(specs, ops, ["x"], ["minus", "twice"])


def test_the_worst_output_is_named() -> None:
    model = Model(lambda inputs: {"minus": -inputs["x"], "twice": 2.5 * inputs["x"]})
    error = float_error(two_outputs(), model, {"x": A}, limit=8)
    assert error.output == "twice" and error.relative == pytest.approx(0.2)


def test_a_model_of_zeros_has_the_error_itself() -> None:
    model = Model(lambda inputs: {"sum": np.zeros_like(inputs["a"])})
    error = float_error(tiny_models.float_add(), model, {"a": A[:1], "b": B[:1]}, limit=8)
    assert error.relative == 5.0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_model_that_answers_nan_is_refused(bad: float) -> None:
    with pytest.raises(ConversionError, match="The model itself answers NaN or infinity.*'sum'"):
        float_error(tiny_models.float_add(), adding(bad), {"a": A, "b": B}, limit=8)


def test_a_file_that_answers_nan_is_refused() -> None:
    specs = [TensorSpec(name, (1, 4), "float32") for name in ("x", "y")]
    content = tiny_models.build(specs, [OpSpec("SQRT", ["x"], ["y"])], ["x"], ["y"])
    model = Model(lambda inputs: {"y": np.ones_like(inputs["x"])})
    with pytest.raises(ConversionError, match="float file is broken at output 'y'.*with NaN"):
        float_error(content, model, {"x": A}, limit=8)


def test_a_file_of_another_shape_is_refused() -> None:
    model = Model(lambda inputs: {"sum": inputs["a"].reshape(-1, 2, 2)})
    with pytest.raises(ConversionError, match=r"shape \(3, 2, 2\), the file shape \(3, 4\)"):
        float_error(tiny_models.float_add(), model, {"a": A, "b": B}, limit=8)


def test_integer_answers_are_compared_too() -> None:
    specs = [TensorSpec("x", (1, 4), "float32"), TensorSpec("y", (1, 4), "int32")]
    content = tiny_models.build(specs, [OpSpec("CAST", ["x"], ["y"])], ["x"], ["y"])
    model = Model(lambda inputs: {"y": inputs["x"].astype(np.int32)})
    assert float_error(content, model, {"x": A}, limit=8).relative == 0


def test_made_up_samples_suit_the_inputs() -> None:
    specs = [
        InputSpec("image", (4, None, 3), "float32"),
        InputSpec("token", (7,), "int32"),
        InputSpec("flag", (), "bool"),
    ]
    first, again = probe(specs), probe(specs)
    assert {name: (array.shape, array.dtype.name) for name, array in first.items()} == {
        "image": ((4, 4, 1, 3), "float32"),
        "token": ((4, 7), "int32"),
        "flag": ((4,), "bool"),
    }
    assert set(np.unique(first["token"])) <= {0, 1}, "indices that every table has"
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
