"""Activations, regularizers and constraints of both flavours."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from tfgreen.models.bridge import to_keras2, to_keras3
from tfgreen.models.bridge.functions import SAME_ACTIVATIONS, activation_twin, regularizer_twin
from tfgreen.models.keras2 import tf_keras
from tfgreen.models.known_classes import ACTIVATIONS

# They take arguments of their own, halve the width, or are another name of one in the list.
NOT_ALONE = {"threshold", "glu", "swish", "hard_swish"}

X = np.linspace(-9, 9, 301, dtype="float32").reshape(7, 43)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS - NOT_ALONE))
def test_activations_compute_the_same(name: str) -> None:
    ours = keras.activations.get(name)
    twin = activation_twin(ours)
    x = keras.ops.convert_to_tensor(X)
    np.testing.assert_allclose(twin(x), ours(x), rtol=1e-6, atol=1e-6)
    again = tf_keras().activations.get(tf_keras().activations.serialize(twin))
    np.testing.assert_allclose(again(x), ours(x), rtol=1e-6, atol=1e-6)


def test_hard_sigmoid_is_another_function_in_tf_keras() -> None:
    """The reason for the table; when it fails, the table can be shortened."""
    theirs = tf_keras().activations.hard_sigmoid(keras.ops.convert_to_tensor(X))
    assert np.abs(theirs - keras.activations.hard_sigmoid(X)).max() > 0.05
    assert SAME_ACTIVATIONS.get("hard_sigmoid") is None


def doubled(x: Any) -> Any:
    return keras.ops.multiply(x, 2)


@pytest.mark.parametrize(
    "activation",
    [doubled, lambda x: x * 3, keras.layers.LeakyReLU(0.3), keras.ops.tanh],
    ids=["function", "lambda", "layer", "op"],
)
def test_activations_of_ones_own(activation: Any) -> None:
    model = keras.Sequential(
        [keras.layers.Input((4,)), keras.layers.Dense(3, activation=activation)]
    )
    twin = to_keras2(model)
    clone = tf_keras().models.clone_model(twin)
    clone.set_weights(twin.get_weights())
    x = X[:, :4]
    np.testing.assert_allclose(clone(x), model(x), rtol=1e-6)
    np.testing.assert_allclose(to_keras3(clone, model)(x), model(x), rtol=1e-6)


class Cubed(keras.regularizers.Regularizer):  # type: ignore[misc]
    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, x: Any) -> Any:
        return self.rate * keras.ops.sum(keras.ops.abs(x) ** 3)

    def get_config(self) -> dict[str, float]:
        return {"rate": self.rate}


class Tiny(keras.constraints.Constraint):  # type: ignore[misc]
    def __call__(self, w: Any) -> Any:
        return keras.ops.clip(w, -0.1, 0.1)


@pytest.mark.parametrize(
    "regularizer",
    [
        keras.regularizers.L1(0.1),
        keras.regularizers.L2(0.1),
        keras.regularizers.L1L2(0.1, 0.2),
        keras.regularizers.OrthogonalRegularizer(0.1),
        Cubed(0.3),
    ],
)
def test_regularizers_give_the_same_penalty(regularizer: Any) -> None:
    twin = regularizer_twin(regularizer)
    x = keras.ops.convert_to_tensor(X)
    assert float(twin(x)) == pytest.approx(float(regularizer(x)), rel=1e-5)
    again = tf_keras().regularizers.get(tf_keras().regularizers.serialize(twin))
    assert float(again(x)) == pytest.approx(float(regularizer(x)), rel=1e-5)


def test_constraints_hold_in_training() -> None:
    model = keras.Sequential(
        [keras.layers.Input((4,)), keras.layers.Dense(3, kernel_constraint=Tiny())]
    )
    twin = to_keras2(model)
    twin.compile("sgd", "mse")
    twin.fit(X[:, :4], np.ones((7, 3)), verbose=0)
    assert np.abs(twin.get_weights()[0]).max() <= 0.1
