"""Tiny models and data that train in a second, and what tells that a model was left alone."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfgreen.models.keras2 import tf_keras

FEATURES, CLASSES, SAMPLES = 8, 3, 64


def data() -> tuple[np.ndarray, np.ndarray]:
    """Samples of three classes that a linear layer can tell apart."""
    random = np.random.default_rng(3)
    x = random.normal(size=(SAMPLES, FEATURES)).astype("float32")
    y = np.argmax(x @ random.normal(size=(FEATURES, CLASSES)), axis=1)
    return x, y


def dense_model(compiled: bool = True) -> Any:
    """Dense(16, relu), BatchNormalization, Dense(3)."""
    keras.utils.set_random_seed(7)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((FEATURES,)),
            layers.Dense(16, activation="relu", name="hidden"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(CLASSES, name="head"),
        ],
        name="dense_model",
    )
    if compiled:
        compile_classifier(model, keras)
    return model


def tf_keras_model() -> Any:
    """Dense(16, relu), Dense(3), of tf_keras."""
    old = tf_keras()
    old.utils.set_random_seed(7)
    model = old.Sequential(
        [
            old.Input((FEATURES,)),
            old.layers.Dense(16, activation="relu", name="hidden"),
            old.layers.Dense(CLASSES, name="head"),
        ]
    )
    compile_classifier(model, old)
    return model


def nested_model() -> Any:
    """A functional model with a Sequential block inside it."""
    keras.utils.set_random_seed(7)
    layers = keras.layers
    block = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(5, name="inner_1"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(6, name="inner_2"),
        ],
        name="block",
    )
    inputs = keras.Input((FEATURES,))
    outputs = layers.Dense(CLASSES, name="head")(block(layers.Dense(6, name="first")(inputs)))
    model = keras.Model(inputs, outputs, name="nested_model")
    compile_classifier(model, keras)
    return model


def models_without_a_graph() -> list[tuple[Any, str]]:
    """Subclassed and unbuilt models of both Keras, and what their refusal says."""
    old = tf_keras()

    def subclassed(base: Any) -> Any:
        return type("Subclassed", (base,), {"call": lambda self, inputs: inputs})()

    return [
        (subclassed(keras.Model), "is a subclassed model .Subclassed"),
        (subclassed(old.Model), "is a subclassed model .Subclassed"),
        (keras.Sequential([keras.layers.Dense(3)]), "was never built"),
        (old.Sequential([old.layers.Dense(3)]), "was never built"),
    ]


def compile_classifier(model: Any, flavour: Any) -> None:
    model.compile(
        flavour.optimizers.Adam(0.01),
        flavour.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )


def fingerprint(model: Any) -> tuple[Any, ...]:
    """All that a technique must not change: weights bit for bit, names, config, settings."""
    return (
        [weight.tobytes() for weight in model.get_weights()],
        [layer.name for layer in model.layers],
        [layer.trainable for layer in model.layers],
        [type(layer) for layer in model.layers],
        [sorted(set(vars(layer)) - {"_input_spec"}) for layer in model.layers],
        str(model.get_config()),
        id(getattr(model, "optimizer", None)),
    )


def kernels(model: Any) -> dict[str, np.ndarray]:
    """The kernel of each layer with one, by the layer's name."""
    return {layer.name: layer.kernel.numpy() for layer in model.layers if hasattr(layer, "kernel")}


def zeros(array: np.ndarray) -> int:
    return int(array.size - np.count_nonzero(array))
