"""Models built and converted for the tests of rewrites."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tests.models.conftest import save
from tfgreen.flatbuffer import TfliteModel
from tfgreen.models.graph import Convertible, open_for_conversion


def int8_ops(convertible: Convertible) -> list[str]:
    import tensorflow as tf

    random = np.random.default_rng(0)
    converter = convertible.converter()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter.representative_dataset = lambda: (
        {s.name: random.normal(size=(1, *s.shape)).astype(np.float32) for s in convertible.inputs}  # type: ignore[arg-type]
        for _ in range(8)
    )
    return [op.name for op in TfliteModel.from_bytes(converter.convert()).ops]


def opened(keras: ModuleType, body: list[Any], path: Path) -> tuple[Any, Convertible]:
    """A model of these layers between two dense ones, with weights that are not trivial."""
    first, *others = body
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense
    model = keras.Sequential([first, dense(8), *others, dense(3, name="y")])
    random = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(variable + random.uniform(0.1, 0.5, variable.shape).astype(np.float32))
    file = path / ("model.keras" if keras.__name__ == "keras" else "model.h5")
    return model, open_for_conversion(save(model, file))


def assert_same_outputs(model: Any, convertible: Convertible) -> None:
    (spec,) = convertible.inputs
    x = np.random.default_rng(1).normal(size=(3, *spec.shape)).astype(np.float32)  # type: ignore[arg-type]
    expected = np.asarray(model(x))
    received = convertible.predict({spec.name: x})["y"]
    np.testing.assert_allclose(received, expected, atol=1e-5 * np.abs(expected).max())
