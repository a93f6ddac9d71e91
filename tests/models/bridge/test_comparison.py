"""The comparison after a crossing, with planted differences."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from tests.models.bridge.zoo import convolutional, lstm, perturbed
from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge import comparison, to_keras2, to_keras3
from tfgreen.models.bridge.comparison import (
    TOLERANCE,
    compare_outputs,
    output_difference,
    relative_difference,
)


def test_relative_difference() -> None:
    assert relative_difference(np.array([1.0, -4.0]), np.array([1.0, -3.0])) == 1 / 4
    assert relative_difference(np.array([np.nan, 1.0]), np.array([np.nan, 1.0])) == 0
    assert relative_difference(np.array([np.nan, 1.0]), np.array([0.0, 1.0])) == float("inf")
    assert relative_difference(np.array([np.inf, 2.0]), np.array([np.inf, 1.0])) == 1 / 2
    assert relative_difference(np.zeros(2), np.ones(2)) == float("inf")
    assert relative_difference(np.zeros((2, 1)), np.zeros(2)) == float("inf")
    assert relative_difference(np.zeros((0, 2)), np.zeros((0, 2))) == 0


@pytest.mark.parametrize("layer", ["conv", "norm", "depthwise", "head"])
def test_every_planted_fault_is_seen(layer: str) -> None:
    model = perturbed(convolutional())
    twin = to_keras2(model)
    variable = twin.get_layer(layer).weights[-1]
    variable.assign(variable * 1.01)
    assert output_difference(model, twin) > TOLERANCE
    with pytest.raises(UnsupportedModelError, match="differ by"):
        compare_outputs(model, twin)


def test_the_way_back_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    model = perturbed(convolutional())
    twin = to_keras2(model)
    monkeypatch.setattr(comparison, "output_difference", lambda *models: 0.1)
    with pytest.raises(UnsupportedModelError, match="differ by 0.1 of their largest value"):
        to_keras3(twin, model)


def test_layers_that_differ_run_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if tf_keras's ReLU were another function: the crossing is made again without it."""
    from tfgreen.models.keras2 import tf_keras

    class Wrong(tf_keras().layers.ReLU):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return super().call(x) * 1.001

    monkeypatch.setattr(tf_keras().layers, "ReLU", Wrong)
    model = convolutional()
    twin = to_keras2(model)
    assert type(twin.get_layer("relu")).__name__ == "Keras3Layer"
    assert output_difference(model, twin) <= TOLERANCE


def test_states_are_left_as_they_were() -> None:
    layers = keras.layers
    body = [layers.LSTM(4, stateful=True), layers.Dense(2)]
    model = keras.Sequential([layers.Input(batch_shape=(3, 5, 2)), *body])
    x = np.random.default_rng(0).normal(size=(3, 5, 2)).astype("float32")
    model.predict(x, verbose=0, batch_size=3)
    before = [np.array(state) for state in model.layers[0].states]
    assert any(np.abs(state).max() > 0 for state in before)
    twin = to_keras2(model)
    again = to_keras3(twin, model)
    for kept in (model.layers[0].states, twin.layers[1].states):
        for one, two in zip(before, kept, strict=True):
            np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(twin(x), model(x))
    assert again.layers[0].stateful


def test_the_random_input_is_always_the_same() -> None:
    model = lstm()
    assert output_difference(model, to_keras2(model)) == output_difference(model, to_keras2(model))
