"""Distillers in every way that Keras trains: XLA, mixed precision, strategies, resumed, saved."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgreen as tg
from tests.compression.distillation_models import FLAVOURS, bits, crossentropy, net, package
from tests.compression.models import data
from tfgreen.models.keras2 import tf_keras

X, Y = data()


def distiller(flavour: str, teacher: Any = None, **options: Any) -> Any:
    made = tg.Distiller(net(4, flavour), teacher or net(16), features={"norm": "norm"})
    arguments = {"metrics": ["accuracy"], "loss": crossentropy(flavour), **options}
    made.compile(package(flavour).optimizers.Adam(0.01), **arguments)
    return made


def fitted(made: Any, **options: Any) -> Any:
    return made.fit(
        X, Y, **{"batch_size": 16, "epochs": 2, "shuffle": False, "verbose": 0, **options}
    ).history


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_several_steps_at_once_and_eagerly(flavour: str) -> None:
    plain = fitted(distiller(flavour))
    for options in ({"steps_per_execution": 2}, {"run_eagerly": True}):
        other = fitted(distiller(flavour, **options))
        assert other["loss"] == pytest.approx(plain["loss"], rel=1e-4)
        assert other["accuracy"] == pytest.approx(plain["accuracy"])


def test_xla() -> None:
    plain, other = (fitted(distiller("keras3", jit_compile=jit)) for jit in (False, True))
    assert other["loss"] == pytest.approx(plain["loss"], rel=1e-3)


def test_mixed_precision() -> None:
    teacher = net(16)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        made = distiller("keras3", teacher)
        assert type(made.optimizer).__name__ == "LossScaleOptimizer"
        history = fitted(made)
    finally:
        keras.config.set_dtype_policy("float32")
    plain = fitted(distiller("keras3", teacher))
    assert history["loss"] == pytest.approx(plain["loss"], rel=5e-2)
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_callers_objects_of_keras_3_train_a_prepared_student(flavour: str) -> None:
    made = distiller(flavour)
    best = keras.callbacks.EarlyStopping("val_loss", patience=1) if flavour == "keras3" else None
    best = best or tf_keras().callbacks.EarlyStopping("val_loss", patience=1)
    history = fitted(made, validation_data=(X, Y), callbacks=[best])
    assert {"val_loss", "val_accuracy", "val_student_loss"} <= history.keys()


class KilledError(Exception):
    pass


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("teacher", ["model", "average"])
def test_resumed_after_a_kill(flavour: str, teacher: str, tmp_path: Path) -> None:
    own = package(flavour)

    class Kill(own.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                raise KilledError

    def made() -> Any:
        return distiller(flavour, net(16) if teacher == "model" else tg.MovingAverage(0.9))

    def backup() -> Any:
        return own.callbacks.BackupAndRestore(
            str(tmp_path / ("x.weights.h5" if flavour == "keras3" else "backup"))
        )

    whole = made()
    history = fitted(whole, epochs=4)
    with pytest.raises(KilledError):
        fitted(made(), epochs=4, callbacks=[backup(), Kill()])
    resumed = made()
    rest = fitted(resumed, epochs=4, callbacks=[backup()])
    assert len(rest["loss"]) == 2
    assert rest["loss"] == pytest.approx(history["loss"][2:], rel=1e-4)
    for ours, theirs in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


def die_in_the_third_epoch(place: str) -> None:
    """What the next test's child does."""

    class Death(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.model.optimizer.iterations >= 2 * self.params["steps"] + 1:
                os._exit(9)

    backup = keras.callbacks.BackupAndRestore(place)
    fitted(distiller("keras3"), epochs=4, callbacks=[backup, Death()])


def test_resumed_after_the_process_died(tmp_path: Path) -> None:
    place = str(tmp_path / "x.weights.h5")
    name = die_in_the_third_epoch.__name__
    code = f"from tests.compression.test_distiller_fit import {name}; {name}({place!r})"
    died = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert died.returncode == 9, died.stderr
    whole, resumed = distiller("keras3"), distiller("keras3")
    history = fitted(whole, epochs=4)
    rest = fitted(resumed, epochs=4, callbacks=[keras.callbacks.BackupAndRestore(place)])
    assert rest["loss"] == pytest.approx(history["loss"][2:], rel=1e-4)
    for ours, theirs in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


def test_the_checkpoint_holds_no_teacher(tmp_path: Path) -> None:
    import h5py

    made = distiller("keras3")
    fitted(made)
    made.save_weights(tmp_path / "all.weights.h5")
    shapes: list[tuple[int, ...]] = []
    with h5py.File(tmp_path / "all.weights.h5") as file:
        file.visititems(
            lambda _, item: shapes.append(item.shape) if isinstance(item, h5py.Dataset) else None
        )
    assert (8, 16) not in shapes and (16, 3) not in shapes  # the teacher's kernels
    assert (8, 4) in shapes and (4, 16) in shapes  # the student's, and the projection


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_student_is_saved_as_a_plain_model(flavour: str, tmp_path: Path) -> None:
    made = distiller(flavour)
    path = tmp_path / "best.keras"
    own = package(flavour)
    fitted(made, callbacks=[own.callbacks.ModelCheckpoint(str(path))])
    code = (
        f"import {own.__name__} as keras, sys, numpy as np\n"
        f"model = keras.models.load_model({str(path)!r})\n"
        "assert type(model).__name__ == 'Sequential' and 'tfgreen' not in sys.modules\n"
        f"np.save({str(tmp_path / 'said.npy')!r}, model(np.load({str(tmp_path / 'x.npy')!r})))\n"
    )
    np.save(tmp_path / "x.npy", X)
    subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", code], check=True)
    np.testing.assert_allclose(np.load(tmp_path / "said.npy"), made.student(X), atol=1e-6)


DISTRIBUTED = """
import sys
import numpy as np
import tensorflow as tf
devices = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(devices[0], [tf.config.LogicalDeviceConfiguration()] * 2)
import tfgreen as tg
from tests.compression.distillation_models import bits, crossentropy, net, package
from tests.compression.models import data

x, y = data()
for flavour in ("keras3", "keras2"):
    losses = []
    for devices in (["CPU:0", "CPU:1"], ["CPU:0"]):
        teacher = net(16)
        before = bits(teacher)
        with tf.distribute.MirroredStrategy(devices).scope():
            student = net(4, flavour)
            student.layers[1].trainable = False  # its statistics are those of each replica
            made = tg.Distiller(student, [teacher], features={"norm": "norm"}, alpha=(0.5, 0.1))
            made.compile(package(flavour).optimizers.SGD(0.1), crossentropy(flavour))
        history = made.fit(x, y, batch_size=32, epochs=2, shuffle=False, verbose=0).history
        losses.append(history["loss"])
        assert bits(teacher) == before
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
print("equal")
"""


def test_two_devices_train_as_one() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DISTRIBUTED],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=300,
    )
    assert done.stdout.strip().endswith("equal"), done.stderr[-3000:]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_datasets_of_every_form(flavour: str) -> None:
    weights = np.ones(len(X), "float32")
    whole = tf.data.Dataset.from_tensor_slices((X, Y, weights)).batch(16)
    made = distiller(flavour)
    first = fitted(distiller(flavour))["loss"]
    history = made.fit(whole, epochs=2, shuffle=False, verbose=0).history
    assert history["loss"] == pytest.approx(first, rel=1e-5)
    made.train_on_batch(X[:16], Y[:16])
    assert bits(made.student) != bits(net(4, flavour))
