from __future__ import annotations

from typing import Any

import pytest

from tfgreen.models.config_signature import inputs_of, outputs_of
from tfgreen.signature import InputSpec


def layer(class_name: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": {"name": name, **config}, "name": name}


def model(class_name: str, layers: list[dict[str, Any]], **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": {"layers": layers, **config}}


IMAGE = layer("InputLayer", "image", batch_shape=[None, 8, 8, 3], dtype="uint8")
TOKENS = layer("InputLayer", "tokens", batch_input_shape=[None, None], dtype="int32")


def test_functional_inputs_come_in_the_models_order_of_either_flavour() -> None:
    config = model(
        "Functional",
        [TOKENS, IMAGE],
        input_layers=[["image", 0, 0], ["tokens", 0, 0]],
        output_layers=[["a", 0, 0]],
    )
    assert inputs_of(config) == (
        InputSpec("image", (8, 8, 3), "uint8"),
        InputSpec("tokens", (None,), "int32"),
    )


def test_a_shape_may_be_written_as_a_tuple_object() -> None:
    shape = {"class_name": "__tuple__", "items": [None, 4]}
    config = model("Sequential", [layer("InputLayer", "x", batch_shape=shape, dtype="float32")])
    assert inputs_of(config) == (InputSpec("x", (4,), "float32"),)


@pytest.mark.parametrize(
    ("output_layers", "names"),
    [
        pytest.param(["a", 0, 0], ("a",), id="one"),
        pytest.param([["a", 0, 0], ["b", 0, 0]], ("a", "b"), id="two"),
        pytest.param([["a", 0, 0], ["a", 1, 0]], ("a", "a_1"), id="one layer twice"),
        pytest.param({"z": ["a", 0, 0], "k": ["b", 0, 0]}, ("k", "z"), id="dict"),
        pytest.param([["a", 0, 0], [["b", 0, 0]]], ("a", "b"), id="nested"),
    ],
)
def test_functional_outputs(output_layers: Any, names: tuple[str, ...]) -> None:
    layers = [IMAGE, layer("Dense", "a"), layer("Dense", "b")]
    config = model("Functional", layers, input_layers=[], output_layers=output_layers)
    assert outputs_of(config) == names


def test_a_sequential_model_is_named_after_its_last_layer() -> None:
    assert outputs_of(model("Sequential", [IMAGE, layer("Dense", "last")])) == ("last",)


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(model("Mine", [IMAGE]), id="subclassed"),
        pytest.param(model("Sequential", [layer("Dense", "d")]), id="no input layer"),
        pytest.param({"class_name": "Sequential", "config": []}, id="very old"),
        pytest.param({}, id="empty"),
        pytest.param(None, id="nothing"),
    ],
)
def test_what_is_not_certain_is_not_told(config: Any) -> None:
    assert inputs_of(config) is None


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(layer("LSTM", "l", return_state=True), id="states"),
        pytest.param(layer("Functional", "inner"), id="nested model"),
        pytest.param(layer("PruneLowMagnitude", "p"), id="wrapper that is taken off"),
    ],
)
def test_outputs_that_depend_on_the_last_layer_are_not_told(last: dict[str, Any]) -> None:
    assert outputs_of(model("Sequential", [IMAGE, last])) is None
