"""The callbacks in the fits of Keras 3, tf_keras and a prepared twin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import tfgreen as tg
from tfgreen.footprint import stretch
from tfgreen.footprint.callback import MeterCallback
from tfgreen.footprint.ledger import Ledger
from tfgreen.models.keras2 import tf_keras

X = np.linspace(-1, 1, 64, dtype="float32").reshape(16, 4)
Y = (X.sum(axis=1) > 0).astype("int32")


def model_of(package: Any) -> Any:
    layers = package.layers
    model = package.Sequential([layers.Input((4,)), layers.Dense(8, "relu"), layers.Dense(2)])
    loss = package.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="sgd", loss=loss)
    return model


@pytest.fixture(params=["keras", "tf_keras"])
def model(request: pytest.FixtureRequest) -> Any:
    return model_of(keras if request.param == "keras" else tf_keras())


def test_every_fit_has_a_reading(model: Any) -> None:
    watch = MeterCallback(source="model")
    for _ in range(2):
        model.fit(X, Y, epochs=2, verbose=0, callbacks=[watch], validation_data=(X, Y))
    model.evaluate(X, Y, verbose=0, callbacks=[watch])
    model.predict(X, verbose=0, callbacks=[watch])
    assert len(watch.readings) == 2
    for reading in watch.readings:
        assert reading.method == "modelled" and reading.cpu_seconds > 0
        assert reading.joules.low < reading.joules.typical < reading.joules.high


def test_fits_are_stretches_of_a_stage(model: Any, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.json")
    watch = ledger.callback("qat")
    model.fit(X, Y, verbose=0, callbacks=[watch])
    model.fit(X, Y, verbose=0, callbacks=[watch])
    entries = Ledger.read(tmp_path / "ledger.json").entries
    assert [(entry.stage, entry.purpose, entry.finished) for entry in entries] == [
        ("qat", "compression", True)
    ] * 2
    assert entries[1].within is None


def test_a_fit_that_raises_does_not_hinder_the_next(model: Any) -> None:
    flavour = keras if isinstance(model, keras.Model) else tf_keras()

    class Stop(flavour.callbacks.Callback):  # type: ignore[name-defined, misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            raise KeyError("of the caller")

    ledger, watch = Ledger(), MeterCallback(source="model")
    stage = ledger.callback()
    with pytest.raises(KeyError):
        model.fit(X, Y, verbose=0, callbacks=[watch, stage, Stop()])
    model.fit(X, Y, verbose=0, callbacks=[watch, stage])
    assert len(watch.readings) == 1
    assert [(entry.finished, entry.within) for entry in ledger.entries] == [
        (False, None),
        (True, None),
    ]


def test_a_long_epoch_is_entered_when_it_ends(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the file holds when the second epoch begins is what the first one took."""
    monkeypatch.setattr(stretch, "CHECKPOINT_SECONDS", 0.0)
    path = tmp_path / "ledger.json"
    seen: list[float] = []

    class Look((keras if isinstance(model, keras.Model) else tf_keras()).callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            seen.append(Ledger.read(path).total().cpu_seconds)

    model.fit(X, Y, epochs=3, verbose=0, callbacks=[Ledger(path).callback(), Look()])
    assert 0 <= seen[0] < seen[1] < seen[2] < Ledger.read(path).total().cpu_seconds


def test_a_technique_s_own_fit(tmp_path: Path) -> None:
    """The twin that a technique gives is trained by tf_keras, whatever the model was."""
    pruning = tg.Pruning(sparsity=0.5)
    wrapped = pruning.prepare(model_of(keras))
    ledger = Ledger()
    wrapped.fit(X, Y, epochs=1, verbose=0, callbacks=[ledger.callback("prune")])
    assert ledger.total(stage="prune").cpu_seconds > 0
    assert ledger.total(purpose="training").entries == 0


def test_short_epochs_are_not_written_one_by_one(model: Any, tmp_path: Path) -> None:
    """The file is written at the start and at the end; between them lie no ten seconds."""
    written: list[float] = []

    class Counted(Ledger):
        def _save(self) -> None:
            written.append(self.total().cpu_seconds)
            super()._save()

    model.fit(X, Y, epochs=5, verbose=0, callbacks=[Counted(tmp_path / "l.json").callback()])
    assert len(written) == 2
