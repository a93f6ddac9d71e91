"""Budgets with a meter that is told what it reads, in the fits of Keras 3 and tf_keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from tfgreen.training.budget import Budget
from tfgreen.training.spending import Spent

FLAVOURS = ["keras", "tf_keras"]


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(budget: Budget, flavour: str, epochs: int = 4, **spent: float) -> tuple[Any, Any, Any]:
    """A fit with a meter of its own: its callback, its history, its model."""
    meter = FakeMeter()
    watch, model = watching(budget, meter), model_of(flavour)
    history = model.fit(
        X,
        Y,
        batch_size=BATCH_SIZE,
        epochs=epochs,
        verbose=0,
        callbacks=[spending(meter, **spent), watch],
    )
    return watch, history, model


@pytest.mark.parametrize(
    ("flavour", "limits", "spent", "words"),
    [
        ("keras", {"joules": 45}, {"joules": 5}, "45 J is spent"),
        ("tf_keras", {"seconds": 18}, {"seconds": 2}, "18 s of wall time is spent"),
        ("keras", {"cpu_seconds": 9}, {"cpu_seconds": 1}, "9 s of processor time is spent"),
        (
            "tf_keras",
            {"grams": 9, "grams_per_kwh": 100},
            {"joules": 36000},
            "9 g CO2e at 100 g CO2e/kWh",
        ),
    ],
)
def test_a_spent_budget_stops_within_the_epoch(
    flavour: str, limits: Any, spent: Any, words: str
) -> None:
    """Each is spent with the ninth batch: the third of the second epoch."""
    watch, history, model = run(Budget(**limits), flavour, **spent)
    assert words in watch.stopped and watch.stopped.startswith("Stopped in epoch 2")
    assert len(history.epoch) == 2
    assert int(model.optimizer.iterations) == 9


def test_the_next_evaluation_is_kept_back() -> None:
    """An evaluation takes 30 J, and 60 of 100 J are spent after the first epoch: stop at 70."""
    meter = FakeMeter()
    watch, model = watching(Budget(joules=100), meter), model_of("keras")

    class Evaluation(package("keras").callbacks.Callback):  # type: ignore[misc]
        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            meter.spend(joules=30 if batch == 0 else 0)

    history = model.fit(
        X, Y, batch_size=BATCH_SIZE, epochs=5, verbose=0, validation_data=VALIDATION,
        callbacks=[spending(meter, joules=5), Evaluation(), watch],
    )  # fmt: skip
    assert len(history.epoch) == 2
    assert int(model.optimizer.iterations) == STEPS + 2  # 30 + 30, then 5 a batch until 70
    assert watch.readings[0].joules.typical == 100


def test_a_fit_within_its_budget_runs_to_its_end(flavour: str) -> None:
    watch, history, _ = run(Budget(joules=1e9, seconds=1e9), flavour, joules=1)
    assert watch.stopped is None and len(history.epoch) == 4
    assert watch.share == pytest.approx(24e-9)


def test_fits_share_a_budget(flavour: str) -> None:
    meter = FakeMeter()
    watch = watching(Budget(joules=10), meter)
    model = model_of(flavour)
    callbacks = [spending(meter, joules=1), watch]
    model.fit(X, Y, batch_size=BATCH_SIZE, verbose=0, callbacks=callbacks)
    assert watch.stopped is None and watch.spent == Spent(joules=6)
    model.fit(X, Y, batch_size=BATCH_SIZE, verbose=0, callbacks=callbacks)
    assert "10 J is spent" in watch.stopped and watch.spent == Spent(joules=10)
    assert len(watch.readings) == 2


def test_a_fit_that_raises_has_spent_what_it_has(flavour: str) -> None:
    meter = FakeMeter()
    watch, model = watching(Budget(joules=100), meter), model_of(flavour)

    class Stop(package(flavour).callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch >= 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fit(
            X, Y, batch_size=BATCH_SIZE, verbose=0,
            callbacks=[spending(meter, joules=1), watch, Stop()],
        )  # fmt: skip
    before = watch.spent.joules
    assert before in (3, 4)
    model.fit(X, Y, batch_size=BATCH_SIZE, verbose=0, callbacks=[spending(meter, joules=1), watch])
    assert watch.spent.joules == before + STEPS


def feed(watch: Any, model: Any, logs: list[dict[str, float]], joules: float = 1) -> int:
    """Play a fit with these logs; how many epochs it took."""
    watch.set_model(model)
    model.stop_training = False
    watch.on_train_begin()
    for epoch, one in enumerate(logs):
        watch.on_epoch_begin(epoch)
        model.set_weights([np.full_like(w, epoch + 1) for w in model.get_weights()])
        watch._meter.spend(joules=joules)
        watch.on_train_batch_end(0)
        watch.on_test_begin()
        watch.on_test_end()
        watch.on_epoch_end(epoch, one)
        if model.stop_training:
            break
    watch.on_train_end()
    return watch.last_epoch


def test_the_target_ends_it_and_the_best_weights_come_back(flavour: str) -> None:
    model = model_of(flavour)
    watch = watching(Budget(metric="val_accuracy", target=0.9), FakeMeter())
    logs = [{"loss": 1.0, "val_accuracy": value} for value in (0.5, 0.8, 0.7, 0.85, 0.95, 0.99)]
    assert feed(watch, model, logs) == 5
    assert watch.stopped == (
        "Stopped after epoch 5: val_accuracy is 0.95, which reaches the target 0.9."
    )
    unreached = watching(Budget(metric="val_accuracy", target=0.99, joules=4), FakeMeter())
    assert feed(unreached, model, logs) == 4
    assert (unreached.best, unreached.best_epoch) == (0.85, 4)
    earlier = watching(Budget(metric="val_accuracy", joules=3), FakeMeter())
    assert feed(earlier, model, logs) == 3
    assert (earlier.best, earlier.best_epoch) == (0.8, 2)
    assert all((weight == 2).all() for weight in model.get_weights())


def test_the_last_weights_stay_if_that_is_wanted() -> None:
    model = model_of("keras")
    watch = watching(Budget(restore_best=False, joules=3), FakeMeter())
    feed(watch, model, [{"loss": loss} for loss in (1.0, 2.0, 3.0, 4.0)])
    assert all((weight == 3).all() for weight in model.get_weights())
    assert watch.best is None


def test_little_gain_for_the_energy_ends_it() -> None:
    """0.9 - 0.4/epoch gains 0.4 / (epoch * (epoch + 1)); 10 J an epoch, at least 1e-4 a joule:
    the gain falls below 1e-3 after the epoch where epoch * (epoch + 1) exceeds 400, the 20th.
    """
    logs = [{"loss": 0.0, "val_accuracy": 0.9 - 0.4 / epoch} for epoch in range(1, 41)]
    watch = watching(Budget(metric="val_accuracy", least_gain_per_joule=1e-4), FakeMeter())
    assert abs(feed(watch, model_of("keras"), logs, joules=10) - 20) <= 1
    assert "of val_accuracy" in watch.stopped and "for 10 J, less than 0.0001" in watch.stopped


def test_noise_makes_it_wait() -> None:
    random = np.random.default_rng(0)
    noisy = [0.9 - 0.4 / e + random.normal(0, 0.02) for e in range(1, 41)]
    logs = [{"loss": 0.0, "val_accuracy": value} for value in noisy]
    sure, rash = (
        Budget(metric="val_accuracy", least_gain_per_joule=1e-4, confidence=one).callback(
            FakeMeter()
        )
        for one in (0.95, 0.5)
    )
    assert feed(sure, model_of("keras"), logs, 10) > feed(rash, model_of("keras"), logs, 10)


def test_a_loss_that_is_no_number_ends_it() -> None:
    model = model_of("keras")
    watch = watching(Budget(), FakeMeter())
    assert feed(watch, model, [{"loss": 1.0}, {"loss": float("nan")}, {"loss": 1.0}]) == 2
    assert "no finite number" in watch.stopped
    assert all((weight == 1).all() for weight in model.get_weights())


def test_a_metric_that_is_not_there() -> None:
    watch = watching(Budget(metric="val_acuracy"), FakeMeter())
    with pytest.raises(tg.UsageError, match=r"Did you mean 'val_accuracy'.*It has: loss, val_acc"):
        feed(watch, model_of("keras"), [{"loss": 1.0, "val_accuracy": 0.5}])
    waiting = watching(Budget(metric="val_accuracy"), FakeMeter())
    model = model_of("keras")
    model.fit(
        X, Y, epochs=4, verbose=0, validation_data=VALIDATION, validation_freq=2,
        callbacks=[waiting],
    )  # fmt: skip
    assert waiting.best_epoch in (2, 4)
    with pytest.raises(tg.UsageError, match="or give validation_data"):
        run(Budget(metric="val_accuracy"), "keras")
    unknown = watching(Budget(metric="odd"), FakeMeter())
    with pytest.raises(tg.UsageError, match="mode='max' or mode='min'"):
        feed(unknown, model_of("keras"), [{"loss": 1.0, "odd": 0.5}])


def test_the_direction_is_found(flavour: str) -> None:
    """By the metric itself, by its name, or as it is told."""
    model = model_of(flavour, compiled=False)
    model.compile("sgd", "mse", metrics=[package(flavour).metrics.MeanAbsoluteError(name="way")])
    model.fit(X, np.stack([Y, 1 - Y], axis=1), batch_size=BATCH_SIZE, verbose=0)
    for metric, mode, more in (
        ("way", "auto", False),
        ("loss", "auto", False),
        ("val_accuracy", "auto", True),
        ("odd", "max", True),
    ):
        watch = watching(Budget(metric=metric, mode=mode), FakeMeter())  # type: ignore[arg-type]
        feed(watch, model, [{"loss": 1.0, metric: 0.5}])
        assert watch.metric is not None and watch.metric.more is more


def test_looking_takes_a_fiftieth_of_the_time() -> None:
    """A look takes 1 ms by this clock, a batch 5 ms: every tenth or eleventh batch has one."""
    from tfgreen.training.budget_callback import BudgetCallback

    meter, now = FakeMeter(), [0.0]

    def clock() -> float:
        now[0] += 0.0005
        return now[0]

    class Slow(FakeMeter):
        @property
        def reading(self) -> Any:
            now[0] += 0.0005
            return super().reading

    meter = Slow()
    watch = BudgetCallback(Budget(joules=1), meter, clock=clock)
    watch.set_model(model_of("keras"))
    watch.on_train_begin()
    for batch in range(1000):
        now[0] += 0.005
        watch.on_train_batch_end(batch)
    assert 80 <= meter.looks <= 120


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(1e-3, 1e6), st.floats(1e-3, 1e6))
def test_the_share_is_that_of_the_tightest_limit(
    joules: float, seconds: float, joule_limit: float, second_limit: float
) -> None:
    share, words = Budget(joules=joule_limit, seconds=second_limit).share(
        Spent(joules=joules, seconds=seconds)
    )
    assert share == max(joules / joule_limit, seconds / second_limit)
    assert ("wall" in words) == (seconds / second_limit >= joules / joule_limit and share > 0) or (
        joules / joule_limit == seconds / second_limit
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"joules": -1}, "joules=-1"),
        ({"seconds": float("nan")}, "seconds=nan"),
        ({"grams": 5}, "no grid"),
        ({"grams": 5, "region": "GER"}, "DEU"),
        ({"region": "DEU", "joules": 5}, "no limit in grams"),
        ({"target": 0.9}, "without the metric"),
        ({"target": float("inf"), "metric": "loss"}, "finite"),
        ({"mode": "maximum"}, "Did you mean 'max'"),
        ({"confidence": 1.0}, "confidence=1"),
        ({"least_gain_per_joule": 0}, "least_gain_per_joule=0"),
    ],
)
def test_budgets_that_make_no_sense(options: dict[str, Any], words: str) -> None:
    with pytest.raises(tg.UsageError, match=words):
        Budget(**options)
