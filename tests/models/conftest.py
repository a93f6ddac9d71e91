"""Model files of every kind, made once for all tests of the room."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def two_inputs(keras: ModuleType) -> Any:
    """Two inputs, two outputs, a nested model, an arithmetic op between layers."""
    layers = keras.layers
    image, extra = layers.Input((8, 8, 3), name="image"), layers.Input((4,), name="extra")
    x = layers.Conv2D(4, 3, padding="same", activation="relu", kernel_regularizer="l2")(image)
    x = layers.DepthwiseConv2D(3)(x)
    x = layers.GlobalAveragePooling2D()(layers.BatchNormalization()(x))
    inner = keras.Sequential([layers.Input((8,)), layers.Dense(6), layers.Dropout(0.1)])
    x = inner(layers.Concatenate()([x * 2.0 + 1.0, extra]))
    kind = layers.Dense(3, activation="softmax", name="kind")(x)
    return keras.Model([image, extra], [kind, layers.Dense(1, name="size")(x)])


def dense(keras: ModuleType) -> Any:
    layers = keras.layers
    return keras.Sequential([layers.Input((3,), name="x"), layers.Dense(2, name="y")])


def save(model: Any, path: Path) -> Path:
    """Save without the warnings that .h5 is old."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    return path


@pytest.fixture(scope="session")
def keras3() -> ModuleType:
    import keras

    return keras


@pytest.fixture(scope="session")
def keras2() -> ModuleType:
    from tfgreen.models.keras2 import tf_keras

    return tf_keras()


@pytest.fixture(scope="session")
def flavours(keras3: ModuleType, keras2: ModuleType) -> dict[str, ModuleType]:
    return {"keras3": keras3, "keras2": keras2}


@pytest.fixture(scope="session")
def model_file(
    flavours: dict[str, ModuleType], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """The two-input model in a file of that kind, saved once."""
    folder = tmp_path_factory.mktemp("models")
    suffixes = {"keras3": "a.keras", "keras2": "b.keras", "keras2-h5": "c.h5"}
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            model = two_inputs(flavours[kind.split("-")[0]])
            made[kind] = save(model, folder / suffixes[kind])
        return made[kind]

    return make


@pytest.fixture(scope="session")
def saved_model(keras3: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Keras 3 exports by default: a batch of any size, signatures `serve` and the default."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    two_inputs(keras3).export(folder, format="tf_saved_model", verbose=False)
    return folder
