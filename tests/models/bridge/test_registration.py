"""A layer of the caller's own with a tf_keras twin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest

from tests.models.bridge.zoo import Residue, perturbed
from tfgreen.errors import UnsupportedModelError, UsageError
from tfgreen.models.bridge import register_twin, registration, to_keras2, to_keras3
from tfgreen.models.keras2 import tf_keras


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registration, "_registered", {})
    yield


class Scale(keras.layers.Layer):  # type: ignore[misc]
    def __init__(self, start: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start = start

    def build(self, shape: Any) -> None:
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")

    def call(self, x: Any) -> Any:
        return x * self.factor * self.start

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "start": self.start}


class Scale2(tf_keras().layers.Layer):  # type: ignore[misc]
    power = 1

    def __init__(self, start: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.start = start

    def build(self, shape: Any) -> None:
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")

    def call(self, x: Any) -> Any:
        return x * self.factor**self.power * self.start

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "start": self.start}


class WrongScale(Scale2):
    power = 2


def model() -> Any:
    body = [keras.layers.Dense(4), Scale(2.0, name="scale"), keras.layers.Dense(2)]
    return perturbed(keras.Sequential([keras.layers.Input((3,)), *body]))


def test_the_registered_class_is_used() -> None:
    register_twin(Scale, Scale2)
    original = model()
    twin = to_keras2(original)
    assert type(twin.get_layer("scale")) is Scale2
    assert twin.get_layer("scale").start == 2.0
    again = to_keras3(twin, original)
    x = np.ones((2, 3), "float32")
    np.testing.assert_array_equal(again(x), original(x))


def test_a_translation_of_ones_own() -> None:
    def translate(layer: Any) -> Any:
        return tf_keras().layers.Dense(layer.units, name=layer.name)

    register_twin(keras.layers.Dense, tf_keras().layers.Dense, translate)
    assert len(to_keras2(model()).weights) == 5


def test_a_twin_that_computes_something_else_is_refused() -> None:
    register_twin(Scale, WrongScale)
    message = "Scale 'scale' computes something else in tf_keras.*differs by .* of its largest"
    with pytest.raises(UnsupportedModelError, match=message):
        to_keras2(model())


def test_the_first_layer_that_differs_is_named() -> None:
    register_twin(Scale, WrongScale)
    body = [Scale(name="first"), keras.layers.Dense(3), Scale(name="second")]
    with pytest.raises(UnsupportedModelError, match="'first'"):
        to_keras2(perturbed(keras.Sequential([keras.layers.Input((3,)), *body])))


def test_a_twin_with_other_weights_is_refused() -> None:
    register_twin(
        Residue, tf_keras().layers.Dense, lambda x: tf_keras().layers.Dense(5, name=x.name)
    )
    original = keras.Sequential([keras.layers.Input((6,)), Residue(5, name="residue")])
    with pytest.raises(UnsupportedModelError, match="Residue 'residue' has weights of the shapes"):
        to_keras2(original)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((Scale2, Scale2), "first class; expected a subclass of keras.layers.Layer"),
        ((Scale, Scale), "second class; expected a subclass of tf_keras.layers.Layer"),
        ((Scale, Scale2, "translate"), "translate='translate'; expected a function"),
    ],
)
def test_wrong_arguments(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        register_twin(*arguments)
