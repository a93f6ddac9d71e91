"""Layers of tf_keras that run Keras 3's code, in files and in other processes."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from tests.models.bridge import zoo
from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge import to_keras2
from tfgreen.models.bridge.hosting import remember_class, remembered_class
from tfgreen.models.keras2 import tf_keras


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_files(suffix: str, tmp_path: Path) -> None:
    # tf_keras cannot read a registered activation, its own users' either, back from .h5.
    activation = "hard_silu" if suffix == ".keras" else "tanh"
    model = keras.Sequential(
        [
            keras.layers.Input((6, 4)),
            keras.layers.RMSNormalization(),
            keras.layers.Dense(4, activation=activation),
            zoo.Residue(3, name="residue"),
        ]
    )
    twin = to_keras2(zoo.perturbed(model))
    twin.save(tmp_path / f"model{suffix}")
    loaded = tf_keras().models.load_model(tmp_path / f"model{suffix}")
    x = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")
    np.testing.assert_array_equal(loaded(x), twin(x))


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_ops_in_files(tmp_path: Path) -> None:
    model = zoo.graph_of_ops()
    twin = to_keras2(model)
    twin.save(tmp_path / "model.h5")
    loaded = tf_keras().models.load_model(tmp_path / "model.h5")
    x = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")
    np.testing.assert_array_equal(loaded(x), twin(x))


def test_keys_name_classes() -> None:
    key = remember_class(zoo.Residue)
    assert key == "tests.models.bridge.zoo>Residue"
    assert remembered_class(key) is zoo.Residue
    kind = type(keras.layers.RMSNormalization())
    assert remembered_class(f"{kind.__module__}>RMSNormalization") is kind


@pytest.mark.parametrize("key", ["elsewhere>Layer", "live>1", "os>system", "keras.src.os>a.b"])
def test_unknown_classes_are_not_imported(key: str) -> None:
    with pytest.raises(UnsupportedModelError, match="is not known in this process"):
        remembered_class(key)


def test_weights_keep_their_order_and_flags() -> None:
    model = zoo.perturbed(zoo.own_layer())
    twin = to_keras2(model)
    hosted = twin.get_layer("residue")
    ours = model.get_layer("residue")
    assert [w.shape for w in hosted.hosted_weights] == [w.shape for w in ours.weights]
    assert [w.trainable for w in hosted.hosted_weights] == [w.trainable for w in ours.weights]
    hosted.trainable = False
    assert hosted.trainable_weights == []
