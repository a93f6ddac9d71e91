"""Keras 3's callbacks in the fit of a twin."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.models.bridge.test_metrics import Widest
from tests.models.bridge.training import ONE_HOT, X, assert_equal_weights, classifier, fit
from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge import to_keras2
from tfgreen.models.bridge.callbacks import callback_twins
from tfgreen.models.keras2 import is_model, tf_keras

C = keras.callbacks


@pytest.fixture
def twin() -> Any:
    return to_keras2(compiled())


def compiled() -> Any:
    model = classifier()
    metrics = ["accuracy", "mae", keras.metrics.AUC(name="auc"), Widest()]
    model.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy", metrics=metrics)
    return model


def test_early_stopping_stops_and_restores(twin: Any) -> None:
    stopping = C.EarlyStopping("loss", patience=1, min_delta=100, restore_best_weights=True)
    history = fit(twin, epochs=9, callbacks=[stopping])
    assert len(history["loss"]) == 2
    assert stopping.stopped_epoch == 1
    reference = compiled()
    fit(reference)
    assert_equal_weights(reference, twin)


@pytest.mark.parametrize(
    ("monitor", "more_is_better"),
    [
        ("val_accuracy", True),
        ("accuracy", True),
        ("val_auc", True),
        ("val_widest", True),
        ("val_mae", False),
        ("val_loss", False),
    ],
)
def test_whether_more_is_better(twin: Any, monitor: str, more_is_better: bool) -> None:
    stopping = C.EarlyStopping(monitor)
    fit(twin, validation_data=(X, ONE_HOT), callbacks=[stopping])
    expected = keras.ops.greater if more_is_better else keras.ops.less
    assert stopping.monitor_op is expected
    assert stopping.mode == "auto"


def test_a_metric_of_unknown_direction_is_an_error_as_in_keras(twin: Any) -> None:
    with pytest.raises(ValueError, match="Pass `mode='max'`"):
        fit(
            twin,
            callbacks=[C.EarlyStopping("learning_rate"), C.LearningRateScheduler(lambda _: 0.1)],
        )


def test_model_checkpoint(twin: Any, tmp_path: Path) -> None:
    whole = C.ModelCheckpoint(tmp_path / "best.keras", monitor="accuracy", save_best_only=True)
    weights = C.ModelCheckpoint(tmp_path / "{epoch}.weights.h5", save_weights_only=True)
    fit(twin, epochs=2, callbacks=[whole, weights])
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "1.weights.h5",
        "2.weights.h5",
        "best.keras",
    ]
    again = to_keras2(compiled())
    again.load_weights(tmp_path / "2.weights.h5")
    assert_equal_weights(again, twin, tolerance=0)
    loaded = tf_keras().models.load_model(tmp_path / "best.keras", compile=False)
    np.testing.assert_array_equal(loaded(X).shape, (24, 4))


def test_learning_rates(twin: Any) -> None:
    schedule = C.LearningRateScheduler(lambda epoch, rate: rate / 2)
    plateau = C.ReduceLROnPlateau("loss", factor=0.1, patience=1, min_delta=100)
    history = fit(twin, epochs=3, callbacks=[schedule, plateau])
    # Halved before each epoch, divided by 10 after the second and the third.
    expected = [0.1 / 2, 0.1 / 4, 0.1 / 4 / 10 / 2]
    assert history["learning_rate"] == pytest.approx(expected)
    assert float(twin.optimizer.learning_rate) == pytest.approx(expected[-1] / 10)


def test_csv_logger(twin: Any, tmp_path: Path) -> None:
    history = fit(twin, epochs=2, callbacks=[C.CSVLogger(tmp_path / "log.csv")])
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == pytest.approx(history["loss"])


class Own(C.Callback):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []

    def on_train_begin(self, logs: Any = None) -> None:
        assert is_model(self.model)
        self.events.append(f"train {self.params['epochs']}x{self.params['steps']}")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.events.append(f"batch {batch}")
        assert isinstance(float(logs["loss"]), float)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        kernel = self.model.get_layer("hidden").get_weights()[0]
        self.events.append(f"epoch {epoch} {kernel.shape}")
        assert {"loss", "accuracy", "val_loss"} <= logs.keys()
        if epoch == 1:
            self.model.stop_training = True

    def on_test_begin(self, logs: Any = None) -> None:
        self.events.append("test")


def test_a_callback_of_ones_own(twin: Any) -> None:
    own = Own()
    fit(twin, epochs=5, validation_data=(X, ONE_HOT), callbacks=[own])
    batches = ["batch 0", "batch 1", "batch 2", "test"]
    assert own.events == ["train 5x3", *batches, "epoch 0 (6, 8)", *batches, "epoch 1 (6, 8)"]
    own.events.clear()
    twin.evaluate(X, ONE_HOT, verbose=0, callbacks=[own])
    assert own.events == ["test"]


def test_lambda_callback(twin: Any) -> None:
    seen: list[float] = []
    watch = C.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(epoch),
        on_train_batch_begin=lambda batch, logs: seen.append(-1),
    )
    fit(twin, epochs=2, callbacks=[watch])
    assert seen == [-1, -1, -1, 0, -1, -1, -1, 1]


def test_others_of_keras(twin: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    callbacks = [
        C.TerminateOnNaN(),
        C.BackupAndRestore(tmp_path / "backup"),
        C.ProgbarLogger(),
        C.History(),
    ]
    twin.fit(X, ONE_HOT, epochs=2, batch_size=8, verbose=1, callbacks=callbacks)
    assert callbacks[-1].epoch == [0, 1]
    assert capsys.readouterr().out.count("Epoch 1/2") == 1


@pytest.mark.skipif(not importlib.util.find_spec("tensorboard"), reason="needs tensorboard")
def test_tensorboard_writes(twin: Any, tmp_path: Path) -> None:
    fit(twin, callbacks=[C.TensorBoard(tmp_path, histogram_freq=1, update_freq=1)])
    assert list(tmp_path.rglob("*tfevents*"))


def test_tensorboard_is_tf_keras_own(tmp_path: Path) -> None:
    board = C.TensorBoard(tmp_path, histogram_freq=2, update_freq="batch", profile_batch=(2, 5))
    (twin,) = callback_twins([board])
    assert type(twin).__module__.startswith("tf_keras")
    assert (twin.log_dir, twin.histogram_freq, twin.update_freq) == (str(tmp_path), 2, 1)
    assert (twin._start_batch, twin._stop_batch) == (2, 5)


def test_callbacks_of_keras3_optimizers_are_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="SwapEMAWeights works on Keras 3's own"):
        callback_twins(C.SwapEMAWeights())


def test_callbacks_of_tf_keras_pass_through() -> None:
    history = tf_keras().callbacks.History()
    assert callback_twins([history]) == [history]
    assert callback_twins(None) == []
