"""Metrics: the same numbers in the history, and the caller's own objects left alone."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from tests.models.bridge.training import (
    LABELS,
    ONE_HOT,
    WEIGHTS,
    assert_equal_histories,
    classifier,
    fit,
)
from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge import to_keras2
from tfgreen.models.bridge.metrics import Keras3Metric, metrics_twin

M = keras.metrics


class Widest(M.Metric):  # type: ignore[misc]
    """The largest output so far."""

    def __init__(self, name: str = "widest", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.largest = self.add_weight(name="largest", initializer="zeros")
        self._direction = "up"

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.largest.assign(keras.ops.maximum(self.largest, keras.ops.max(y_pred)))

    def result(self) -> Any:
        return self.largest


def spread(y_true: Any, y_pred: Any) -> Any:
    return keras.ops.std(y_pred, axis=-1)


def hits(y_true: Any, y_pred: Any) -> Any:
    """Of labels (n,), as Keras 3 gives them."""
    assert len(y_true.shape) == 1
    return keras.ops.equal(keras.ops.argmax(y_pred, -1), keras.ops.cast(y_true, "int32"))


def test_the_history_is_the_same() -> None:
    model = classifier()
    own = [
        M.CategoricalAccuracy(name="category"),
        M.AUC(name="auc"),
        M.TopKCategoricalAccuracy(2, name="top2"),
        M.F1Score(average="macro", name="f1"),
        M.Precision(thresholds=0.3, name="precision"),
        Widest(),
        spread,
    ]
    model.compile(
        "sgd", "mse", metrics=["accuracy", "mae", *own], weighted_metrics=[M.MeanSquaredError()]
    )
    twin = to_keras2(model)
    there = fit(twin, epochs=2, sample_weight=WEIGHTS)
    assert float(own[-2].largest.value) == 0
    here = fit(model, epochs=2, sample_weight=WEIGHTS)
    assert_equal_histories(there, here)


def test_functions_get_labels_as_they_were_given() -> None:
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy", hits])
    twin = to_keras2(model)
    there, here = fit(twin, LABELS), fit(model, LABELS)
    assert there["hits"] == pytest.approx(here["hits"]) == here["accuracy"]


def test_the_same_kind_where_tf_keras_has_it() -> None:
    twins = metrics_twin([M.AUC(num_thresholds=50), Widest(), "accuracy", None])
    assert type(twins[0]).__module__.startswith("tf_keras")
    assert twins[0].num_thresholds == 50
    assert isinstance(twins[1], Keras3Metric)
    assert twins[2:] == ["accuracy", None]


def test_several_outputs_count_apart() -> None:
    """tf_keras copies a metric for each output by its config."""
    inputs = keras.layers.Input((6,))
    outputs = [keras.layers.Dense(4, name=name)(inputs) for name in ("one", "two")]
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse", metrics=[[spread], [spread]])
    twin = to_keras2(model)
    there, here = fit(twin, [ONE_HOT, ONE_HOT]), fit(model, [ONE_HOT, ONE_HOT])
    assert there["one_spread"] == pytest.approx(here["one_spread"], rel=1e-5)
    assert there["two_spread"] == pytest.approx(here["two_spread"], rel=1e-5)


def test_a_metric_that_cannot_be_made_again_is_refused() -> None:
    class Opaque(Widest):
        def __init__(self, function: Any) -> None:
            super().__init__()
            self.function = function

    with pytest.raises(UnsupportedModelError, match="Opaque 'widest'.*get_config"):
        metrics_twin([Opaque(np.abs)])
