"""Losses: the same value and the same gradients, sample weights and class weights included."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from tests.models.bridge.training import (
    LABELS,
    ONE_HOT,
    WEIGHTS,
    assert_equal_weights,
    classifier,
    fit,
)
from tfgreen.models.bridge import to_keras2, to_keras3
from tfgreen.models.bridge.losses import Keras3Loss, loss_twin
from tfgreen.models.keras2 import tf_keras

L = keras.losses
OF_LABELS = {"SparseCategoricalCrossentropy", "Circle", "CategoricalGeneralizedCrossEntropy"}
KINDS = sorted(
    name
    for name, kind in vars(L).items()
    if isinstance(kind, type) and issubclass(kind, L.Loss) and name not in ("Loss", "CTC")
)


class Distance(L.Loss):  # type: ignore[misc]
    def call(self, y_true: Any, y_pred: Any) -> Any:
        return keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1)


def mistake(y_true: Any, y_pred: Any) -> Any:
    """Of labels (n,), as Keras 3 gives them."""
    assert len(y_true.shape) == 1
    return 1 - keras.ops.sum(keras.ops.one_hot(keras.ops.cast(y_true, "int32"), 4) * y_pred, -1)


def assert_same_training(loss: Any, y: Any, **settings: Any) -> Any:
    model = classifier()
    model.compile(keras.optimizers.SGD(0.05), loss=loss)
    twin = to_keras2(model)
    there, here = fit(twin, y, **settings), fit(model, y, **settings)
    assert there["loss"] == pytest.approx(here["loss"], rel=1e-5)
    assert_equal_weights(model, twin)
    return twin.compiled_loss._user_losses


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum"])
@pytest.mark.parametrize("kind", KINDS)
def test_losses_of_keras(kind: str, reduction: str) -> None:
    loss = getattr(L, kind)(reduction=reduction)
    y = LABELS if kind in OF_LABELS else ONE_HOT
    used = assert_same_training(loss, y, sample_weight=WEIGHTS)
    assert isinstance(used, Keras3Loss) == (not hasattr(tf_keras().losses, kind))


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        (L.MeanSquaredError(reduction="mean_with_sample_weight"), ONE_HOT),
        (L.CategoricalCrossentropy(label_smoothing=0.2, name="smooth"), ONE_HOT),
        (Distance(), ONE_HOT),
        (mistake, LABELS),
        (lambda a, b: keras.ops.mean((a - b) ** 2, axis=-1), ONE_HOT),
        ("kl_divergence", ONE_HOT),
        ("sparse_categorical_crossentropy", LABELS),
        ("dice", ONE_HOT),
    ],
    ids=["weighted mean", "settings", "class", "of labels", "lambda", "name", "labels", "new name"],
)
def test_losses_of_every_form(loss: Any, y: np.ndarray) -> None:
    assert_same_training(loss, y, sample_weight=WEIGHTS)


def test_class_weights() -> None:
    weights = {0: 1.0, 1: 2.0, 2: 0.5, 3: 0.0}
    assert_same_training(mistake, LABELS, class_weight=weights)
    assert_same_training(L.SparseCategoricalCrossentropy(), LABELS, class_weight=weights)


def test_a_keras3_loss_as_it_is_would_lose_the_weights() -> None:
    """The reason for the translation: tf_keras scales a mean by the weights."""
    y_true, y_pred = np.zeros((2, 1), "float32"), np.array([[1.0], [2.0]], "float32")
    weights = np.array([1.0, 0.0], "float32")
    loss = L.MeanSquaredError()
    assert float(loss(y_true, y_pred, weights)) == 0.5 * (1.0 * 1 + 4.0 * 0)
    twin = loss_twin(loss)
    twin._allow_sum_over_batch_size = True
    assert float(twin(y_true, y_pred, weights)) == 0.5
    wrapped = tf_keras().losses.Loss.__call__
    assert wrapped is not type(twin).__call__ or type(twin).__module__.startswith("tf_keras")


def test_several_outputs() -> None:
    layers = keras.layers
    inputs = layers.Input((6,))
    outputs = {
        "kind": layers.Dense(4, activation="softmax", name="kind")(inputs),
        "size": layers.Dense(1, name="size")(inputs),
    }
    model = keras.Model(inputs, outputs)
    model.compile(
        "sgd",
        loss={"kind": L.CategoricalCrossentropy(), "size": Distance()},
        loss_weights={"kind": 1.0, "size": 0.25},
        metrics={"kind": ["accuracy"], "size": [keras.metrics.MeanAbsoluteError()]},
    )
    twin = to_keras2(model)
    y = {"kind": ONE_HOT, "size": WEIGHTS[:, None]}
    there, here = fit(twin, y), fit(model, y)
    assert there["loss"] == pytest.approx(here["loss"], rel=1e-5)
    assert_equal_weights(model, twin)
    again = to_keras3(twin, model)
    assert again.loss["size"] is model.loss["size"]
    fit(again, y)
