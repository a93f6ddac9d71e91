"""`tg.fit` in both flavours of Keras: what it sets, stops, restores and tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgreen as tg
from tests.training.small import (
    BATCH_SIZE,
    STEPS,
    VALIDATION,
    FakeMeter,
    X,
    Y,
    model_of,
    package,
    spending,
    watching,
)
from tfgreen.footprint.ledger import Ledger
from tfgreen.models.loading import flavour_of
from tfgreen.training.optimizers import KINDS
from tfgreen.training.schedules import one_cycle

SETTINGS: dict[str, Any] = {"batch_size": BATCH_SIZE, "verbose": 0}


@pytest.fixture(params=["keras", "tf_keras"])
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Rates:
    """The learning rate of every batch, as a callback of Keras 3 or tf_keras."""

    def __new__(cls, flavour: str) -> Any:
        class Callback(package(flavour).callbacks.Callback):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.seen: list[float] = []

            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                self.seen.append(float(self.model.optimizer.learning_rate))

        return Callback()


def test_it_trains_and_tells(flavour: str, tmp_path: Path) -> None:
    model = model_of(flavour, units=16)
    ledger = Ledger(tmp_path / "ledger.json")
    result = tg.fit(
        model, (X, Y), validation_data=VALIDATION, epochs=8, learning_rate=0.03,
        metric="val_accuracy", seed=1, ledger=ledger, **SETTINGS,
    )  # fmt: skip
    assert result.stopped == "Ran to the end: all 8 epochs."
    assert result.epochs == 8 == len(result.history["loss"])
    assert result.best == max(result.history["val_accuracy"]) > 0.9
    _, accuracy = model.evaluate(*VALIDATION, verbose=0)
    assert accuracy == pytest.approx(result.best)
    assert ledger.entries == (result.entry,)
    assert result.entry.finished and result.entry.stage == "train"
    assert "Best val_accuracy" in str(result) and "processor time" in str(result)


@pytest.mark.parametrize(
    ("flavour", "name"),
    [("keras", name) for name in sorted(KINDS)] + [("tf_keras", "lion"), ("tf_keras", "adamw")],
)
def test_optimizers(flavour: str, name: str, tmp_path: Path) -> None:
    model = model_of(flavour)
    rates = Rates(flavour)
    tg.fit(model, (X, Y), optimizer=name, epochs=2, callbacks=[rates], **SETTINGS)
    kind = KINDS[name]
    assert type(model.optimizer).__name__ == kind.class_name
    expected = [kind.learning_rate * one_cycle(step / (2 * STEPS)) for step in range(2 * STEPS)]
    np.testing.assert_allclose(rates.seen, expected, rtol=1e-5)
    assert float(model.optimizer.learning_rate) == pytest.approx(kind.learning_rate)
    path = tmp_path / "model.keras"
    model.save(path)
    again = package(flavour).models.load_model(path)
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))


def test_vectors_do_not_decay(flavour: str) -> None:
    """With a gradient of 0 only the decay moves weights: kernels, and no biases."""
    model = model_of(flavour, compiled=False)
    model.set_weights([np.ones_like(weight) for weight in model.get_weights()])
    tg.fit(
        model, (X, Y), loss=lambda y, p: 0.0 * p[:, :1], optimizer="sgd-nesterov", epochs=1,
        schedule="constant", weight_decay=0.1, budget=tg.Budget(restore_best=False), **SETTINGS,
    )  # fmt: skip
    kernels, biases = model.get_weights()[::2], model.get_weights()[1::2]
    assert all((kernel < 1).all() for kernel in kernels)
    assert all((bias == 1).all() for bias in biases)


def test_the_schedule_follows_the_budget(flavour: str) -> None:
    """12 of 12 J are spent in two of ten epochs: the rate is down by then."""
    meter = FakeMeter()
    model, rates = model_of(flavour), Rates(flavour)
    watch = watching(tg.Budget(joules=12), meter)
    spend = spending(meter, joules=1)
    result = tg.fit(model, (X, Y), epochs=10, budget=watch, callbacks=[spend, rates], **SETTINGS)
    assert "12 J is spent" in result.stopped
    shares = np.clip((np.arange(len(rates.seen)) - 1) / 12, 0, 1)  # it is told a batch later
    peak = KINDS["adamw"].learning_rate
    np.testing.assert_allclose(rates.seen, [peak * one_cycle(s) for s in shares], rtol=0.2)


def test_plateaus_lower_the_rate(flavour: str) -> None:
    model, rates = model_of(flavour), Rates(flavour)
    tg.fit(
        model, (X, Y), schedule="reduce-on-plateau", learning_rate=1e-12, epochs=5,
        callbacks=[rates], **SETTINGS,
    )  # fmt: skip
    assert rates.seen[0] == pytest.approx(1e-12) and rates.seen[-1] == pytest.approx(5e-13)


def test_the_seed_makes_it_repeatable(flavour: str) -> None:
    def weights(seed: int) -> list[np.ndarray]:
        package(flavour).utils.set_random_seed(0)
        model = model_of(flavour)
        tg.fit(model, (X, Y), epochs=2, seed=seed, **SETTINGS)
        return model.get_weights()  # type: ignore[no-any-return]

    first, same, other = weights(3), weights(3), weights(4)
    assert all(np.array_equal(one, two) for one, two in zip(first, same, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_an_interrupted_fit_leaves_the_best_weights(flavour: str) -> None:
    model, ledger = model_of(flavour), Ledger()
    seen: list[list[np.ndarray]] = []

    class Stop(package(flavour).callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append([weight.copy() for weight in self.model.get_weights()])

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if len(seen) == 2 and batch >= 3:
                raise KeyboardInterrupt

    watch = tg.Budget().callback()
    with pytest.raises(KeyboardInterrupt):
        tg.fit(model, (X, Y), epochs=5, budget=watch, callbacks=[Stop()], ledger=ledger, **SETTINGS)
    assert watch.best_epoch == 2 and not watch._meter.is_running
    assert all(
        np.array_equal(one, two) for one, two in zip(seen[1], model.get_weights(), strict=True)
    )
    assert [entry.finished for entry in ledger.entries] == [True]


def test_data_come_in_many_forms(flavour: str) -> None:
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(BATCH_SIZE)
    weights = np.ones(len(X), "float32")
    for data in (dataset, (X, Y, weights)):
        result = tg.fit(model_of(flavour), data, epochs=1, **SETTINGS)
        assert np.isfinite(result.history["loss"]).all()

    def endless() -> Any:
        while True:
            yield X[:BATCH_SIZE], Y[:BATCH_SIZE]

    result = tg.fit(
        model_of(flavour), endless(), epochs=2, verbose=0, steps_per_epoch=3, schedule="cosine"
    )
    assert result.epochs == 2


def test_somebody_else_may_stop_it(flavour: str) -> None:
    stop = package(flavour).callbacks.EarlyStopping("loss", patience=0, min_delta=1e9)
    result = tg.fit(model_of(flavour), (X, Y), epochs=5, callbacks=[stop], **SETTINGS)
    assert result.stopped == "Stopped after epoch 2: another callback ended the training."


def test_a_prepared_model_is_trained(flavour: str) -> None:
    pruning = tg.Pruning(sparsity=0.5)
    wrapped = pruning.prepare(model_of(flavour, units=16))
    assert flavour_of(wrapped) == "keras2"
    result = tg.fit(
        wrapped, (X, Y), epochs=3, seed=0, metric="accuracy",
        budget=tg.Budget(metric="accuracy", mode="min"), **SETTINGS,
    )  # fmt: skip
    assert "earlier ones have fewer zeros" in result.notes[0]
    kernel = pruning.finalize(wrapped).get_weights()[0]
    assert np.mean(np.asarray(kernel) == 0) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"optimizer": "adam-w"}, tg.UnknownNameError, "Did you mean 'adamw'"),
        ({"schedule": "one_cycle"}, tg.UnknownNameError, "Did you mean 'one-cycle'"),
        ({"learning_rate": -1}, tg.UsageError, "learning_rate=-1"),
        ({"weight_decay": -1}, tg.UsageError, "weight_decay=-1"),
        ({"optimizer": "adam", "weight_decay": 0.1}, tg.UsageError, "take 'adamw'"),
        ({"epochs": 0}, tg.UsageError, "epochs=0"),
        ({"batch_size": 0}, tg.UsageError, "batch_size=0"),
        ({"data": (X, Y[:5])}, tg.InvalidDataError, "5, 96 samples"),
        ({"data": (X, Y, Y, Y)}, tg.InvalidDataError, "tuple of 4"),
        ({"metric": "val_acc"}, tg.UsageError, "validation_data"),
        ({"metric": "a", "budget": tg.Budget(metric="b")}, tg.UsageError, "Name one of the two"),
    ],
)
def test_calls_that_make_no_sense(
    options: dict[str, Any], error: type[Exception], words: str
) -> None:
    given = {"data": (X, Y), "epochs": 1, "verbose": 0, **options}
    with pytest.raises(error, match=words):
        tg.fit(model_of("keras"), **given)


def test_a_model_without_a_loss() -> None:
    with pytest.raises(tg.UsageError, match="is not compiled, and no loss"):
        tg.fit(model_of("keras", compiled=False), (X, Y))
    with pytest.raises(tg.UnsupportedModelError):
        tg.fit(keras, (X, Y))
