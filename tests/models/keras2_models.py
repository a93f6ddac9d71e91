"""Small tf_keras models with settled weights: normalization statistics of a trained model."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfgreen.models.keras2 import tf_keras

keras: Any = tf_keras()
layers: Any = keras.layers


def settled(model: Any) -> Any:
    """The model with statistics, scales and biases that are not those of a new layer."""
    random = np.random.default_rng(0)
    for weight in model.weights:
        if "variance" in weight.name:
            weight.assign(random.uniform(0.5, 2.0, weight.shape))
        elif "gamma" in weight.name:
            weight.assign(random.uniform(-1.0, 1.5, weight.shape))
        elif len(weight.shape) < 2:
            weight.assign(random.normal(size=weight.shape) * 0.3)
    return model


def functional(shape: tuple[int, ...], build: Any, **options: Any) -> Any:
    """A model of one input and what `build` makes of it."""
    inputs = layers.Input(shape, **options)
    return settled(keras.Model(inputs, build(inputs)))


def chain(*parts: Any) -> Any:
    """A function that calls layers one after the other."""

    def build(tensor: Any) -> Any:
        for part in parts:
            tensor = part(tensor)
        return tensor

    return build


def contents(model: Any) -> list[bytes]:
    return [weight.numpy().tobytes() for weight in model.weights]


def names(model: Any) -> list[str]:
    return [layer.name for layer in model.layers]
