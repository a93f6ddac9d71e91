"""Roundings in a SavedModel's graph: found, and taken out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tests.models.keras2_models import keras, layers
from tfgreen.models.graph import open_for_conversion
from tfgreen.models.keras2 import model_optimization
from tfgreen.models.rounding import remove_rounding, rounds
from tfgreen.models.serving import serve_model, serve_saved_model


def trained() -> Any:
    """A model as TF-MOT's quantize_model makes it, its ranges moved by one step of training."""
    plain = keras.Sequential(
        [layers.Input((6, 6, 2)), layers.Conv2D(3, 3, activation="relu"), layers.Flatten()]
    )
    model = model_optimization().quantization.keras.quantize_model(plain)
    model(np.random.default_rng(0).normal(size=(4, 6, 6, 2)).astype(np.float32), training=True)
    return model


def test_a_graph_without_roundings_passes_values_on(tmp_path: Path) -> None:
    model = trained()
    serve_model(model, 1).save(tmp_path)
    assert rounds(tmp_path)
    x = np.random.default_rng(1).normal(size=(3, 6, 6, 2)).astype(np.float32)
    remove_rounding(tmp_path)
    assert not rounds(tmp_path)
    kernel, bias = (
        next(weight for weight in model.weights if f"{name}:0" in weight.name)
        for name in ("kernel", "bias")
    )
    expected = tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "VALID") + bias).numpy().reshape(3, -1)
    serving = serve_saved_model(tmp_path, 1)
    (given,) = serving.predict({serving.inputs[0].name: x}).values()
    np.testing.assert_allclose(given, expected, atol=1e-5)


def test_what_is_compared_without_rounding_converts_as_it_computes(tmp_path: Path) -> None:
    serve_model(trained(), 1).save(tmp_path / "model")
    convertible = open_for_conversion(tmp_path / "model")
    plain = convertible.unrounded()
    assert convertible.is_quantization_aware and not plain.is_quantization_aware
    assert plain.outputs == convertible.outputs
    content = plain.converter().convert()
    assert b"TFL3" in content[:8]
