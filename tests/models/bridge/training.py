"""A small classifier and data for it, to be trained on both sides of the bridge."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

_random = np.random.default_rng(7)
X = _random.normal(size=(24, 6)).astype("float32")
LABELS = _random.integers(0, 4, 24)
ONE_HOT = np.eye(4, dtype="float32")[LABELS]
WEIGHTS = _random.uniform(0, 2, 24).astype("float32")


def classifier() -> Any:
    """Two dense layers, always the same weights, not compiled."""
    layers = keras.layers
    hidden = layers.Dense(8, activation="tanh", kernel_regularizer="l2", name="hidden")
    model = keras.Sequential(
        [layers.Input((6,)), hidden, layers.Dense(4, activation="softmax", name="head")]
    )
    random = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(random.normal(size=variable.shape) * 0.5)
    return model


def fit(model: Any, y: Any = ONE_HOT, epochs: int = 1, **settings: Any) -> dict[str, list[float]]:
    """Train in batches of 8, in order; the history."""
    history = model.fit(
        X, y, epochs=epochs, batch_size=8, shuffle=False, verbose=0, **settings
    ).history
    return dict(history)


def assert_equal_weights(one: Any, two: Any, tolerance: float = 2e-6) -> None:
    """Two models, of whichever flavours, have the same weights."""
    for first, second in zip(one.weights, two.weights, strict=True):
        np.testing.assert_allclose(np.asarray(first), np.asarray(second), atol=tolerance)


def assert_equal_histories(one: dict[str, list[float]], two: dict[str, list[float]]) -> None:
    """The same numbers under the same names."""
    assert one.keys() == two.keys()
    for name, values in two.items():
        np.testing.assert_allclose(one[name], values, rtol=1e-5, atol=1e-5, err_msg=name)
