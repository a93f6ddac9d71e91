"""What a user may ask of `tg.fit`: odd data, arguments of Keras's own fit, and what is refused."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgreen as tg
from tests.training.small import BATCH_SIZE, STEPS, VALIDATION, X, Y, model_of, package
from tfgreen.footprint.ledger import Ledger

SETTINGS: dict[str, Any] = {"batch_size": BATCH_SIZE, "verbose": 0, "epochs": 2}
LOSS = "sparse_categorical_crossentropy"


@pytest.fixture(params=["keras", "tf_keras"])
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def subclassed(flavour: str) -> Any:
    class Net(package(flavour).Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.hidden = package(flavour).layers.Dense(4, "relu")
            self.scores = package(flavour).layers.Dense(2, "softmax")

        def call(self, x: Any) -> Any:
            return self.scores(self.hidden(x))

    return Net()


def test_arguments_of_the_models_own_fit_win(flavour: str) -> None:
    """Each of them once collided with what `tg.fit` sets itself."""
    model = model_of(flavour)
    tg.fit(model, (X, Y), seed=0, steps_per_epoch=2, **SETTINGS)
    assert int(model.optimizer.iterations) == 4
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(BATCH_SIZE)
    tg.fit(model, dataset, shuffle=False, **SETTINGS)
    result = tg.fit(
        model, (X, Y, None), validation_split=1 / 3, seed=0, metric="val_accuracy",
        class_weight={0: 1.0, 1: 2.0}, **SETTINGS,
    )  # fmt: skip
    assert result.best == max(result.history["val_accuracy"])
    assert int(model.optimizer.iterations) == 2 * STEPS * 2 // 3


def test_a_seed_leaves_the_order_that_is_asked_for(flavour: str) -> None:
    """With shuffle=False the samples come as they are: the first batch is the first sixteen."""
    seen: list[np.ndarray] = []

    class Net(package(flavour).Sequential):  # type: ignore[misc]
        def train_step(self, data: Any, *more: Any) -> Any:
            tf.py_function(lambda x: seen.append(x.numpy()), [data[0]], [])
            return super().train_step(data, *more)

    layers = package(flavour).layers
    model = Net([layers.Input((4,)), layers.Dense(2, "softmax")])
    tg.fit(model, (X, Y), loss=LOSS, seed=0, shuffle=False, **{**SETTINGS, "epochs": 1})
    np.testing.assert_array_equal(seen[0], X[:BATCH_SIZE])


def test_data_that_run_out_end_it() -> None:
    """A used-up generator gives tf_keras an epoch of no batch, whose loss of 0 is no result.

    Keras 3 feeds its first batch again in each epoch, and warns.
    """
    data = ((X[:16], Y[:16]) for _ in range(4))
    result = tg.fit(model_of("tf_keras"), data, verbose=0, epochs=3)
    assert result.stopped == "Stopped in epoch 2: the data gave no batch."
    assert result.best_epoch == 1 and result.best == result.history["loss"][0]


def test_several_inputs_and_outputs(flavour: str) -> None:
    keras_package = package(flavour)
    layers = keras_package.layers
    first, second = layers.Input((4,), name="a"), layers.Input((4,), name="b")
    both = layers.Concatenate()([first, second])
    outputs = [layers.Dense(2, "softmax", name="c")(both), layers.Dense(1, name="r")(both)]
    model = keras_package.Model([first, second], outputs)
    model.compile(
        "adam", {"c": LOSS, "r": "mse"}, loss_weights={"c": 1.0, "r": 0.0},
        metrics={"r": ["mae"]},
    )  # fmt: skip
    data = ({"a": X, "b": X}, {"c": Y, "r": X[:, :1]})
    result = tg.fit(
        model, data, validation_data=data, seed=0, metric="val_r_mae", learning_rate=0.1,
        **SETTINGS,
    )  # fmt: skip
    assert result.best == min(result.history["val_r_mae"])
    history = result.history
    np.testing.assert_allclose(history["loss"], history["c_loss"], rtol=1e-3)


def test_how_the_steps_run_stays(flavour: str) -> None:
    model = model_of(flavour, compiled=False)
    model.compile("sgd", LOSS, run_eagerly=True)
    tg.fit(model, (X, Y), loss=LOSS, **SETTINGS)
    assert model.run_eagerly
    if flavour == "keras":
        model.compile("sgd", LOSS, jit_compile=True, steps_per_execution=2)
        tg.fit(model, (X, Y), **{**SETTINGS, "epochs": 1})
        assert model.jit_compile and model.steps_per_execution == 2


def test_a_model_that_waits_for_its_first_batch(flavour: str, monkeypatch: Any) -> None:
    """Its biases do not decay, and XLA can be tried on it."""
    from tfgreen.training import jit_trial

    model = subclassed(flavour)
    tg.fit(model, (X, Y), loss=LOSS, **SETTINGS)
    decays = [model.optimizer._use_weight_decay(one) for one in model.trainable_variables]
    assert decays == [True, False, True, False]
    monkeypatch.setattr(jit_trial, "LEAST_SECONDS", 0.0)
    result = tg.fit(
        subclassed(flavour), (X, Y), loss=LOSS, jit_compile="measure", **{**SETTINGS, "epochs": 1}
    )
    assert "a step took" in result.notes[0]


def test_the_ledger_may_have_a_callback_of_the_same_stage() -> None:
    ledger = Ledger()
    result = tg.fit(
        model_of("keras"), (X, Y), ledger=ledger, callbacks=[ledger.callback("train")], **SETTINGS
    )
    assert len(ledger.entries) == 2
    assert result.entry.within is None
    assert ledger.total().joules == result.entry.reading.joules


def test_plateaus_are_those_of_the_budgets_metric() -> None:
    """An odd metric that does not change, of which the budget alone knows the direction."""
    model = model_of("keras", compiled=False)

    def odd(y: Any, p: Any) -> Any:
        return 0.0 * p[:, 0] + 1.0

    model.compile("sgd", LOSS, metrics=[odd])
    watch = tg.Budget(metric="odd", mode="max").callback()
    seen: list[float] = []

    class Rates(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            seen.append(float(self.model.optimizer.learning_rate))

    tg.fit(
        model, (X, Y), schedule="reduce-on-plateau", learning_rate=0.08, budget=watch,
        callbacks=[Rates()], **{**SETTINGS, "epochs": 5},
    )  # fmt: skip
    assert seen[-1] == pytest.approx(0.04)


def test_a_refused_call_leaves_the_model_as_it_was() -> None:
    model = model_of("tf_keras", compiled=False)
    model.compile(package("tf_keras").optimizers.SGD(0.123), LOSS)
    with pytest.raises(tg.UnsupportedModelError):
        tg.fit(model, (X, Y), mixed_precision=True, **SETTINGS)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.123)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"budget": 5}, tg.UsageError, "budget=5"),
        ({"metric": "accuracy", "budget": tg.Budget().callback()}, tg.UsageError, "'the loss'"),
        ({"budget": tg.Budget(metric="val_loss").callback()}, tg.UsageError, "Give both"),
        ({"seed": -1}, tg.UsageError, "seed=-1"),
        ({"seed": 0.5}, tg.UsageError, "seed=0.5"),
        ({"batch_size": 16.0}, tg.UsageError, "batch_size=16.0"),
        ({"epochs": 2.5}, tg.UsageError, "epochs=2.5"),
        ({"y": Y}, tg.UsageError, "y= beside the data"),
        ({"optimizer": keras.optimizers.Adam()}, tg.UsageError, "expected a name: adam, "),
        ({"learning_rate": "big"}, tg.UsageError, "learning_rate='big'"),
        ({"learning_rate": float("nan")}, tg.UsageError, "learning_rate=nan"),
        ({"data": None}, tg.InvalidDataError, "is None; expected a tuple"),
        ({"data": [X, Y]}, tg.InvalidDataError, "a list of 2; expected a tuple"),
        ({"data": (X, None, Y)}, tg.InvalidDataError, "has a None"),
        ({"data": {}}, tg.InvalidDataError, "arrays of no samples"),
    ],
)
def test_calls_that_make_no_sense(
    options: dict[str, Any], error: type[Exception], words: str
) -> None:
    given = {"data": (X, Y), "validation_data": None, **SETTINGS, **options}
    with pytest.raises(error, match=words):
        tg.fit(model_of("keras"), **given)


@pytest.mark.parametrize("joules", ["5", True, [1]])
def test_budgets_are_numbers(joules: Any) -> None:
    with pytest.raises(tg.UsageError, match="Received joules="):
        tg.Budget(joules=joules)


def test_an_interrupt_before_the_first_epoch_ends_leaves_the_weights_there_are() -> None:
    watch = tg.Budget(seconds=1e-6).callback()
    model = model_of("keras")
    result = tg.fit(model, (X, Y), validation_data=VALIDATION, budget=watch, **SETTINGS)
    assert result.stopped.startswith("Stopped in epoch 1")
    assert result.best == pytest.approx(model.evaluate(*VALIDATION, verbose=0)[0])
