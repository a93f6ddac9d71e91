"""Small Keras 3 models, one for each way in which networks are built, with data to train them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

CLASSES = 4
SAMPLES = 96
LAYERS = keras.layers


def image_input() -> Any:
    return keras.Input((8, 8, 3), name="image")


def normalized(x: Any, activation: float | None = 0.0) -> Any:
    """BatchNormalization and a ReLU: 0.0 without end, None without one."""
    x = LAYERS.BatchNormalization(momentum=0.8)(x)
    if activation is None:
        return x
    return LAYERS.ReLU(activation or None)(x)


def ds_cnn() -> Any:
    inputs = image_input()
    x = normalized(LAYERS.Conv2D(8, 3, padding="same", use_bias=False)(inputs))
    for _ in range(2):
        x = normalized(LAYERS.DepthwiseConv2D(3, padding="same", use_bias=False)(x))
        x = normalized(LAYERS.Conv2D(8, 1, use_bias=False)(x))
    x = LAYERS.Dropout(0.1)(LAYERS.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, LAYERS.Dense(CLASSES, activation="softmax", name="y")(x))


def residual() -> Any:
    inputs = image_input()
    x = normalized(LAYERS.Conv2D(8, 3, padding="same")(inputs))
    for width, strides in ((8, 1), (12, 2)):
        inner = normalized(LAYERS.Conv2D(width, 3, strides, padding="same")(x))
        inner = normalized(LAYERS.Conv2D(width, 3, padding="same")(inner), None)
        if strides > 1:
            x = LAYERS.Conv2D(width, 1, strides)(x)
        x = LAYERS.ReLU()(LAYERS.Add()([inner, x]))
    x = LAYERS.Flatten()(LAYERS.AveragePooling2D(4)(x))
    return keras.Model(inputs, LAYERS.Dense(CLASSES, activation="softmax", name="y")(x))


def inverted_residual() -> Any:
    inputs = image_input()
    x = normalized(LAYERS.Conv2D(8, 3, padding="same", use_bias=False)(inputs), 6.0)
    for _ in range(2):
        inner = normalized(LAYERS.Conv2D(24, 1, use_bias=False)(x), 6.0)
        inner = LAYERS.ZeroPadding2D(1)(inner)
        inner = normalized(LAYERS.DepthwiseConv2D(3, use_bias=False)(inner), 6.0)
        x = LAYERS.Add()([x, normalized(LAYERS.Conv2D(8, 1, use_bias=False)(inner), None)])
    x = LAYERS.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, LAYERS.Dense(CLASSES, activation="softmax", name="y")(x))


def dense_norm() -> Any:
    inputs = keras.Input((12,), name="features")
    x = LAYERS.ReLU()(LAYERS.BatchNormalization()(LAYERS.Dense(16)(inputs)))
    x = LAYERS.Activation("relu")(LAYERS.BatchNormalization()(LAYERS.Dense(16)(x)))
    return keras.Model(inputs, LAYERS.Dense(CLASSES, name="y")(x))


def transformer() -> Any:
    inputs = keras.Input((6, 8), name="steps")
    x = LAYERS.Dense(8)(inputs)
    x = LAYERS.LayerNormalization()(x + LAYERS.MultiHeadAttention(2, 4)(x, x))
    inner = LAYERS.Dense(8)(LAYERS.Dense(16, activation="relu")(x))
    x = LAYERS.LayerNormalization()(LAYERS.Add()([x, inner]))
    x = LAYERS.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, LAYERS.Dense(CLASSES, name="y")(x))


def conv1d() -> Any:
    inputs = keras.Input((16, 3), name="signal")
    x = LAYERS.ReLU()(LAYERS.BatchNormalization()(LAYERS.Conv1D(8, 3, padding="same")(inputs)))
    x = LAYERS.MaxPooling1D(2)(x)
    x = LAYERS.Conv1D(8, 3, activation="relu")(x)
    return keras.Model(inputs, LAYERS.Dense(CLASSES, name="y")(LAYERS.GlobalAveragePooling1D()(x)))


def separable() -> Any:
    inputs = image_input()
    x = LAYERS.SeparableConv2D(8, 3, padding="same", activation="relu")(inputs)
    x = normalized(LAYERS.SeparableConv2D(8, 3, use_bias=False)(x))
    x = LAYERS.Conv2D(8, 1, activation="sigmoid")(x)
    return keras.Model(inputs, LAYERS.Dense(CLASSES, name="y")(LAYERS.GlobalMaxPooling2D()(x)))


def several_inputs() -> Any:
    image, features = image_input(), keras.Input((5,), name="features")
    x = LAYERS.Flatten()(LAYERS.Conv2D(4, 3, 2, activation="relu")(image))
    joined = LAYERS.Concatenate()([x, LAYERS.Dense(6, activation="relu")(features)])
    first = LAYERS.Dense(CLASSES, activation="softmax", name="y")(joined)
    return keras.Model([image, features], [first, LAYERS.Dense(1, name="strength")(joined)])


def nested() -> Any:
    block = keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            LAYERS.Conv2D(4, 3, padding="same", use_bias=False, name="conv"),
            LAYERS.BatchNormalization(name="norm"),
            LAYERS.ReLU(name="relu"),
        ],
        name="block",
    )
    inputs = image_input()
    x = block(LAYERS.Conv2D(4, 1, name="stem")(inputs))
    x = LAYERS.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, LAYERS.Dense(CLASSES, name="y")(x))


def shared() -> Any:
    left, right = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    tower = LAYERS.Dense(8, activation="relu", name="tower")
    difference = LAYERS.Subtract()([tower(left), tower(right)])
    return keras.Model([left, right], LAYERS.Dense(CLASSES, name="y")(difference))


def squeeze_excite() -> Any:
    inputs = image_input()
    x = LAYERS.Rescaling(2.0, -1.0)(inputs)
    x = LAYERS.Activation("silu")(normalized(LAYERS.Conv2D(8, 3, padding="same")(x), None))
    weights = LAYERS.GlobalAveragePooling2D(keepdims=True)(x)
    weights = LAYERS.Conv2D(4, 1, activation="relu")(weights)
    weights = LAYERS.Conv2D(8, 1, activation="sigmoid")(weights)
    x = LAYERS.Activation("hard_swish")(LAYERS.Multiply()([x, weights]))
    x = LAYERS.UpSampling2D(2)(LAYERS.MaxPooling2D(2)(x))
    x = LAYERS.Conv2DTranspose(4, 3, 2, padding="same", activation="relu")(x)
    x = LAYERS.LeakyReLU(0.2)(LAYERS.Conv2D(4, 3, 2)(x))
    return keras.Model(inputs, LAYERS.Dense(CLASSES, name="y")(LAYERS.GlobalAveragePooling2D()(x)))


def recurrent() -> Any:
    inputs = keras.Input((8, 3), name="signal")
    x = LAYERS.LSTM(6)(LAYERS.Conv1D(4, 3, padding="same", activation="relu")(inputs))
    return keras.Model(inputs, LAYERS.Dense(CLASSES, name="y")(x))


MODELS: dict[str, Callable[[], Any]] = {
    build.__name__: build
    for build in (
        ds_cnn,
        residual,
        inverted_residual,
        dense_norm,
        transformer,
        conv1d,
        separable,
        several_inputs,
        nested,
        shared,
        squeeze_excite,
        recurrent,
    )
}


def compiled(name: str) -> Any:
    """The model of this name, always with the same weights, ready for `fit`."""
    keras.utils.clear_session()  # layers are numbered anew
    keras.utils.set_random_seed(11)
    model = MODELS[name]()
    losses = {
        output: "mse"
        if output == "strength"
        else keras.losses.SparseCategoricalCrossentropy(from_logits=not _ends_in_softmax(model))
        for output in model.output_names
    }
    model.compile(keras.optimizers.Adam(3e-3), losses if len(losses) > 1 else losses["y"])
    return model


def samples_of(model: Any, count: int = SAMPLES) -> tuple[Any, Any]:
    """Inputs, by name where there are several, and labels that depend on them."""
    random = np.random.default_rng(5)
    x = {
        tensor.name: random.uniform(-2, 2, (count, *tensor.shape[1:])).astype(np.float32)
        for tensor in model.inputs
    }
    sums = sum(array.reshape(count, -1)[:, :6].sum(axis=1) for array in x.values())
    labels = np.digitize(sums, np.quantile(sums, [0.25, 0.5, 0.75])).astype(np.int64)
    if len(model.outputs) == 1:
        return next(iter(x.values())) if len(x) == 1 else x, labels
    return x, {"y": labels, "strength": sums[:, None].astype(np.float32)}


def _ends_in_softmax(model: Any) -> bool:
    return bool(getattr(model.get_layer("y").activation, "__name__", "") == "softmax")
