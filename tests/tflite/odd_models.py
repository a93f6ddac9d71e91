"""Keras models that no export may make a file of; the worker loads them as module:function."""

from __future__ import annotations

import os
from typing import Any


def random_at_inference() -> Any:
    """Noise that ignores training=False."""
    import keras
    import tensorflow as tf

    class Noise(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs + tf.random.normal(tf.shape(inputs))

    inputs = keras.Input((4,), name="x")
    return keras.Model(inputs, Noise(name="noise")(inputs))


def aborts_the_converter() -> Any:
    """The process ends when the graph has been written and is converted."""
    import keras
    import tensorflow as tf

    tf.lite.TFLiteConverter.from_saved_model = lambda *arguments, **options: os.abort()
    inputs = keras.Input((4,), name="x")
    return keras.Model(inputs, keras.layers.Dense(2, name="y")(inputs))


def needs_flex() -> Any:
    """A matrix inverse has no builtin op."""
    import keras
    import tensorflow as tf

    class Inverse(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return tf.linalg.inv(inputs + 5 * tf.eye(3))

    inputs = keras.Input((3, 3), name="x")
    return keras.Model(inputs, Inverse(name="inverse")(inputs))
