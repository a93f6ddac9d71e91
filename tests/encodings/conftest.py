"""A pruned model as TensorFlow's converter stores it, densely and sparsely."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="session")
def pruned_by_tensorflow() -> tuple[bytes, bytes]:
    """A convolution and a dense layer of float32, nine of ten weights zero."""
    import tensorflow as tf

    from tfgreen.models.keras2 import tf_keras

    layers = tf_keras().layers
    model = tf_keras().Sequential(
        [
            tf_keras().Input((8, 8, 16), batch_size=1, name="x"),
            layers.Conv2D(32, 3, name="conv"),
            layers.Flatten(),
            layers.Dense(32, name="head"),
        ]
    )
    random = np.random.default_rng(0)
    for layer in (model.get_layer("conv"), model.get_layer("head")):
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel * (random.random(kernel.shape) > 0.9), bias])
    files = []
    for optimizations in ([], [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]):
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = optimizations
        files.append(converter.convert())
    return files[0], files[1]
