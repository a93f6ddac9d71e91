"""The usual compile and fit on a twin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.models.bridge.training import (
    LABELS,
    ONE_HOT,
    WEIGHTS,
    X,
    assert_equal_weights,
    classifier,
    fit,
)
from tfgreen.errors import UsageError
from tfgreen.models.bridge import adapt_fit, compile_as, origin_of, to_keras2, to_keras3
from tfgreen.models.keras2 import tf_keras


class Counter(tf_keras().callbacks.Callback):  # type: ignore[misc]
    """Counts the fits that it takes part in."""

    fits = 0

    def on_train_begin(self, logs: Any = None) -> None:
        type(self).fits += 1


def test_callbacks_that_are_missing_are_added() -> None:
    twin = to_keras2(classifier())
    twin.compile("sgd", "mse")
    adapt_fit(twin, lambda: [Counter()])
    Counter.fits = 0
    fit(twin)
    assert Counter.fits == 1
    fit(twin, callbacks=[Counter()])
    assert Counter.fits == 2
    fit(twin, callbacks=[keras.callbacks.LambdaCallback()], validation_data=(X, ONE_HOT))
    assert Counter.fits == 3
    twin.evaluate(X, ONE_HOT, verbose=0)
    twin.predict(X, verbose=0)
    assert Counter.fits == 3


def test_several_techniques_add_theirs() -> None:
    class Other(Counter):
        pass

    twin = to_keras2(classifier())
    twin.compile("sgd", "mse")
    for kind in (Counter, Other):
        adapt_fit(twin, lambda kind=kind: [kind()])
    Counter.fits = Other.fits = 0
    fit(twin)
    assert (Counter.fits, Other.fits) == (1, 1)


def test_compile_takes_objects_of_keras3() -> None:
    model = classifier()
    twin = to_keras2(model)
    for one in (model, twin):
        one.compile(
            optimizer=keras.optimizers.Adam(
                keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
            ),
            loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
            metrics=[keras.metrics.CategoricalAccuracy()],
            jit_compile="auto",
            auto_scale_loss=True,
        )
    there, here = fit(twin, epochs=2), fit(model, epochs=2)
    assert there["loss"] == pytest.approx(here["loss"], rel=1e-5)
    assert_equal_weights(model, twin)


def test_a_third_unnamed_argument_means_different_things() -> None:
    twin = to_keras2(classifier())
    with pytest.raises(
        UsageError, match="third is loss_weights in Keras 3 and metrics in tf_keras"
    ):
        twin.compile("sgd", "mse", ["mae"])
    theirs = to_keras2(tf_keras().Sequential([tf_keras().layers.Dense(2, input_shape=(3,))]))
    theirs.compile("sgd", "mse", ["mae"])


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.epochs_ended = 0

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        batch = slice(index * 8, index * 8 + 8)
        return X[batch], ONE_HOT[batch], WEIGHTS[batch]

    def on_epoch_end(self) -> None:
        self.epochs_ended += 1


class Endless(keras.utils.PyDataset):  # type: ignore[misc]
    @property
    def num_batches(self) -> None:
        return None

    def __getitem__(self, index: int) -> Any:
        return X, ONE_HOT


def test_data_of_every_kind_train_alike() -> None:
    def batches() -> Iterator[Any]:
        for start in range(0, 24, 8):
            part = slice(start, start + 8)
            yield X[part], ONE_HOT[part], WEIGHTS[part]

    model = classifier()
    model.compile("sgd", "mse")
    reference = to_keras2(model)
    fit(reference, sample_weight=WEIGHTS)
    dataset = tf.data.Dataset.from_tensor_slices((X, ONE_HOT, WEIGHTS)).batch(8)
    unknown = dataset.filter(lambda x, y, w: True)
    given: list[tuple[Any, dict[str, int]]] = [
        (dataset, {}),
        (unknown, {}),
        (dataset.repeat(), {"steps_per_epoch": 3}),
        (batches(), {}),
        (batches(), {"steps_per_epoch": 3}),
    ]
    for data, settings in given:
        twin = to_keras2(model)
        twin.fit(data, verbose=0, **settings)
        assert_equal_weights(reference, twin)


def test_data_without_an_end_are_refused_before_training() -> None:
    model = classifier()
    model.compile("sgd", "mse")
    twin = to_keras2(model)
    before = twin.get_weights()
    endless = tf.data.Dataset.from_tensors((X, ONE_HOT)).repeat()
    with pytest.raises(ValueError, match="infinite dataset, you must specify the number of steps"):
        twin.fit(endless, verbose=0)
    with pytest.raises(UsageError, match="Endless does not know how many batches.*__len__"):
        twin.fit(Endless(), verbose=0)
    for one, two in zip(before, twin.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_an_uncompiled_twin_says_so() -> None:
    with pytest.raises(RuntimeError, match="must compile your model"):
        fit(to_keras2(classifier()))


def test_datasets_of_keras3() -> None:
    model = classifier()
    model.compile("sgd", "mse")
    twin = to_keras2(model)
    batches = Batches()
    twin.fit(batches, epochs=2, shuffle=False, verbose=0, validation_data=Batches())
    assert batches.epochs_ended == 2
    fit(model, epochs=2, sample_weight=WEIGHTS)
    assert_equal_weights(model, twin)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_adapted_models_save_under_their_own_name(tmp_path: Any) -> None:
    twin = to_keras2(classifier())
    for name in ("model.keras", "model.h5"):
        twin.save(tmp_path / name)
        loaded = tf_keras().models.load_model(tmp_path / name)
        np.testing.assert_array_equal(loaded(X), twin(X))
        assert type(loaded).__name__ == "Functional"


def test_compile_settings_pass_from_model_to_model() -> None:
    """As a technique does it: the wrapped model is a clone of the twin."""
    model = classifier()
    loss = keras.losses.CategoricalCrossentropy()
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"], run_eagerly=True)
    fit(model)
    twin = to_keras2(model)
    clone = tf_keras().models.clone_model(twin)
    clone.set_weights(twin.get_weights())
    compile_as(clone, twin)
    assert origin_of(clone) is model
    assert clone.run_eagerly
    assert int(clone.optimizer.iterations) == 3
    fit(clone)
    fit(model)
    assert_equal_weights(model, clone)
    again = to_keras3(clone, model)
    assert again.loss is loss
    fit(again)
    fit(model)
    assert_equal_weights(model, again)


def test_an_uncompiled_model_stays_uncompiled() -> None:
    model = classifier()
    twin = to_keras2(model)
    clone = tf_keras().models.clone_model(twin)
    compile_as(clone, twin)
    assert twin.optimizer is None and clone.optimizer is None
    assert origin_of(clone) is model
    assert not to_keras3(twin, model).compiled


def test_settings_of_tf_keras_that_keras3_lacks_are_told() -> None:
    model = classifier()
    twin = to_keras2(model)
    twin.compile(tf_keras().optimizers.legacy.Adam(), "mse")
    again = to_keras3(twin, model)
    assert type(again.optimizer) is keras.optimizers.Adam

    class Own(tf_keras().losses.Loss):  # type: ignore[misc]
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return (y_true - y_pred) ** 2

    twin.compile("sgd", Own())
    with pytest.warns(UserWarning, match="not compiled: Own is a part of tf_keras"):
        assert not to_keras3(twin, model).compiled


def test_labels_and_data_are_not_touched() -> None:
    twin = to_keras2(classifier())
    twin.compile("sgd", "sparse_categorical_crossentropy")
    copies = X.copy(), LABELS.copy()
    fit(twin, LABELS)
    np.testing.assert_array_equal(copies[0], X)
    np.testing.assert_array_equal(copies[1], LABELS)
