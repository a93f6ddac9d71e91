from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.models.conftest import save
from tfgreen.models.identification import identify
from tfgreen.models.keras2 import model_optimization, without_training_wrappers
from tfgreen.models.loading import load_model

X = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)


def small(keras: ModuleType) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


@pytest.mark.parametrize("legacy", [None, "1"])
def test_the_process_stays_as_it_was(legacy: str | None) -> None:
    code = """
import os, sys
before = os.environ.get("TF_USE_LEGACY_KERAS")
from tfgreen.models import keras2
keras2.model_optimization()
keras2.tf_keras()
assert os.environ.get("TF_USE_LEGACY_KERAS") == before, os.environ["TF_USE_LEGACY_KERAS"]
import tensorflow as tf
assert tf.keras.__name__.startswith("tf_keras") == (before == "1"), tf.keras.__name__
"""
    environment = {k: v for k, v in os.environ.items() if k != "TF_USE_LEGACY_KERAS"}
    if legacy is not None:
        environment["TF_USE_LEGACY_KERAS"] = legacy
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_a_quantization_aware_model_reloads(keras2: ModuleType, tmp_path: Path) -> None:
    model = model_optimization().quantization.keras.quantize_model(small(keras2))
    path = save(model, tmp_path / "qat.h5")
    assert identify(path).foreign == ()
    np.testing.assert_array_equal(load_model(path)(X), model(X))


@pytest.mark.parametrize("technique", ["pruning", "clustering"])
def test_training_wrappers_load_and_come_off(
    technique: str, keras2: ModuleType, tmp_path: Path
) -> None:
    package = model_optimization()
    if technique == "pruning":
        wrapped = package.sparsity.keras.prune_low_magnitude(small(keras2))
    else:
        initialization = package.clustering.keras.CentroidInitialization.LINEAR
        wrapped = package.clustering.keras.cluster_weights(small(keras2), 4, initialization)
    path = save(wrapped, tmp_path / "wrapped.h5")
    source = identify(path)
    assert (source.foreign, source.outputs) == ((), None)
    expected = wrapped(X, training=False)
    model, done = without_training_wrappers(load_model(path))
    assert done == (f"{technique} wrappers taken off",)
    assert [type(layer).__name__ for layer in model.layers][0] == "Conv2D"
    np.testing.assert_allclose(model(X), expected, atol=1e-6)


def test_a_model_without_wrappers_is_itself(keras2: ModuleType) -> None:
    model = small(keras2)
    assert without_training_wrappers(model) == (model, ())
