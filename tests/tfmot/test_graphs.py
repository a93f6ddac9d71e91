"""Copies of Keras 3 models with other layers answer as the models do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tfgreen import tfmot

X = np.random.default_rng(0).normal(3, 2, (32, 8)).astype(np.float32)


@pytest.mark.parametrize(
    "change",
    [
        tfmot.sparsity.keras.prune_low_magnitude,
        lambda model: tfmot.sparsity.keras.strip_pruning(
            tfmot.sparsity.keras.prune_low_magnitude(model)
        ),
        tfmot.quantization.keras.quantize_annotate_model,
    ],
)
def test_an_adapted_normalization_keeps_its_statistics(change: Callable[[Any], Any]) -> None:
    normalization = keras.layers.Normalization()
    normalization.adapt(X)
    layers = [keras.Input((8,)), normalization, keras.layers.Dense(4, name="dense")]
    model = keras.Sequential(layers)
    np.testing.assert_allclose(
        change(model).predict(X, verbose=0), model.predict(X, verbose=0), atol=1e-5
    )
