"""Layers by name, path, class and expression; unknown ones are refused."""

from __future__ import annotations

import re
from typing import Any

import keras
import pytest

from tests.compression.models import nested_model, tf_keras_model
from tfgreen.compression.selection import assigned, check_selectors, placed_layers, selected
from tfgreen.errors import UnknownNameError, UsageError


@pytest.fixture(scope="module")
def model() -> Any:
    return nested_model()


def test_layers_have_their_path(model: Any) -> None:
    paths = [(placed.path, placed.kind) for placed in placed_layers(model)]
    assert paths == [
        ("first", "Dense"),
        ("block/inner_1", "Dense"),
        ("block/norm", "BatchNormalization"),
        ("block/inner_2", "Dense"),
        ("head", "Dense"),
    ]
    assert [placed.path for placed in placed_layers(tf_keras_model())] == ["hidden", "head"]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("first", {"first"}),
        ("inner_1", {"block/inner_1"}),
        ("block/inner_1", {"block/inner_1"}),
        ("BatchNormalization", {"block/norm"}),
        (keras.layers.BatchNormalization, {"block/norm"}),
        (re.compile(r"inner_\d"), {"block/inner_1", "block/inner_2"}),
        (re.compile("block/.*"), {"block/inner_1", "block/inner_2", "block/norm"}),
        ("re:.*1", {"block/inner_1"}),
    ],
)
def test_selectors(model: Any, selector: Any, expected: set[str]) -> None:
    assert selected([selector], placed_layers(model)) == expected


def test_a_class_of_keras_3_selects_in_tf_keras() -> None:
    assert selected([keras.layers.Dense], placed_layers(tf_keras_model())) == {"hidden", "head"}


def test_a_name_goes_before_a_class_and_a_class_before_an_expression(model: Any) -> None:
    values = {re.compile(".*"): 0.1, "Dense": 0.2, "head": 0.3}
    assert assigned(values, placed_layers(model)) == {
        "first": (0.2, True),
        "block/inner_1": (0.2, True),
        "block/norm": (0.1, False),
        "block/inner_2": (0.2, True),
        "head": (0.3, True),
    }


def test_a_path_goes_before_the_name_of_a_layer_in_a_nested_model() -> None:
    block = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="dense")], name="block")
    layers = [keras.Input((4,)), block, keras.layers.Dense(2, name="dense")]
    placed = placed_layers(keras.Sequential(layers))
    assert assigned({"dense": 0.9, "block/dense": 0.5}, placed) == {
        "block/dense": (0.5, True),
        "dense": (0.9, True),
    }
    assert selected(["dense"], placed) == {"dense", "block/dense"}


def test_unknown_names_are_refused_with_the_closest(model: Any) -> None:
    with pytest.raises(UnknownNameError, match="Unknown layer 'heda'. Did you mean 'head'"):
        selected(["heda"], placed_layers(model))
    with pytest.raises(UsageError, match=r"No layer of the model fits 'conv_\.\*'. It has: block"):
        selected(["re:conv_.*"], placed_layers(model))
    with pytest.raises(UsageError, match="No layer of the model fits 'Conv2D'"):
        assigned({keras.layers.Conv2D: 0.5}, placed_layers(model))


@pytest.mark.parametrize("selector", [3, "", None])
def test_what_is_no_selector_is_refused(selector: Any) -> None:
    with pytest.raises(UsageError, match="skip received .* as a layer; expected its name"):
        check_selectors([selector], "skip")


def test_a_broken_expression_is_refused() -> None:
    with pytest.raises(UsageError, match="no regular expression"):
        check_selectors(["re:("], "skip")
