"""Keras 3 models of every kind that the bridge takes over, by name, small and unseeded by time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops


class Residue(keras.layers.Layer):  # type: ignore[misc]
    """A layer of the caller's own, with layers inside."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.dense = layers.Dense(units, name="inner")
        self.normalization = layers.BatchNormalization(name="norm")

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.dense.build(shape)
        self.normalization.build((*shape[:-1], self.units))

    def call(self, x: Any, training: bool | None = None) -> Any:
        return self.normalization(self.dense(x), training=training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


def perturbed(model: Any, seed: int = 0) -> Any:
    """The model with weights that are not trivial, normalizations and biases included."""
    random = np.random.default_rng(seed)
    for variable in model.weights:
        value = np.asarray(variable)
        if value.dtype.kind == "f":
            noise = random.uniform(0.9, 1.1, value.shape), random.normal(size=value.shape)
            signed = np.abs(noise[1]) if "variance" in variable.path else noise[1]
            variable.assign((value * noise[0] + 0.02 * signed).astype(value.dtype))
    return model


def convolutional() -> Any:
    return keras.Sequential(
        [
            layers.Input((12, 12, 3), name="image"),
            layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(6, name="relu"),
            layers.DepthwiseConv2D(3, name="depthwise"),
            layers.MaxPooling2D(name="pool"),
            layers.Dropout(0.2, name="dropout"),
            layers.Flatten(name="flatten"),
            layers.Dense(4, activation="softmax", kernel_regularizer="l2", name="head"),
        ],
        name="classifier",
    )


def resnet8() -> Any:
    """MLPerf Tiny's image classifier."""
    x = inputs = layers.Input((32, 32, 3))

    def block(x: Any, filters: int, strides: int) -> Any:
        y = layers.Conv2D(filters, 3, strides, "same", kernel_regularizer="l2")(x)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(y))
        if strides != 1:
            x = layers.Conv2D(filters, 1, strides, "same")(x)
        return layers.ReLU()(layers.Add()([x, y]))

    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same")(x)))
    for filters, strides in ((16, 1), (32, 2), (64, 2)):
        x = block(x, filters, strides)
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def ds_cnn() -> Any:
    """MLPerf Tiny's keyword spotter."""
    x = inputs = layers.Input((49, 10, 1))
    x = layers.Conv2D(64, (10, 4), (2, 2), "same")(x)
    x = layers.Dropout(0.2)(layers.ReLU()(layers.BatchNormalization()(x)))
    for _ in range(4):
        x = layers.ReLU()(layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same")(x)))
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(64, 1, padding="same")(x)))
    x = layers.Flatten()(layers.AveragePooling2D((25, 5))(layers.Dropout(0.4)(x)))
    return keras.Model(inputs, layers.Dense(12, activation="softmax")(x))


def mobilenet_v1() -> Any:
    """MLPerf Tiny's person detector."""
    return keras.applications.MobileNet(
        input_shape=(96, 96, 3), alpha=0.25, weights=None, classes=2, dropout=0.0
    )


def autoencoder() -> Any:
    """MLPerf Tiny's anomaly detector."""
    x = inputs = layers.Input((640,))
    for units in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = layers.Activation("relu")(layers.BatchNormalization()(layers.Dense(units)(x)))
    return keras.Model(inputs, layers.Dense(640)(x))


def conv1d() -> Any:
    body = [layers.Conv1D(8, 3, activation="relu"), layers.MaxPooling1D(), layers.Conv1D(4, 3)]
    return keras.Sequential([layers.Input((32, 6)), *body, layers.GlobalAveragePooling1D()])


def separable() -> Any:
    body = [layers.SeparableConv2D(8, 3), layers.BatchNormalization(), layers.ReLU()]
    return keras.Sequential(
        [layers.Input((12, 12, 3)), *body, layers.Reshape((100, 8)), layers.SeparableConv1D(4, 3)]
    )


def lstm() -> Any:
    body = [layers.LSTM(6, return_sequences=True), layers.LSTM(4, dropout=0.1)]
    return keras.Sequential([layers.Input((7, 3)), *body, layers.Dense(2)])


def gru() -> Any:
    body = [layers.GRU(6, return_sequences=True), layers.GRU(4, reset_after=False)]
    return keras.Sequential([layers.Input((7, 3)), *body, layers.Dense(2)])


def bidirectional() -> Any:
    body = [
        layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
        layers.Bidirectional(layers.GRU(3)),
    ]
    tokens = [layers.Input((7,), dtype="int32"), layers.Embedding(11, 5, mask_zero=True)]
    return keras.Sequential([*tokens, *body, layers.Dense(2)])


def transformer() -> Any:
    tokens = layers.Input((6,), dtype="int32")
    x = layers.Embedding(13, 8, mask_zero=True)(tokens)
    y = layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x)
    x = layers.LayerNormalization()(x + y)
    y = layers.Dense(8)(layers.Dense(16, activation="gelu")(x))
    x = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([x, layers.Dropout(0.1)(y)]))
    return keras.Model(tokens, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def nested() -> Any:
    inner = keras.Sequential(
        [layers.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.BatchNormalization()], name="inner"
    )
    small = layers.Input((6, 6, 4))
    middle = keras.Model(small, layers.Conv2D(4, 3)(layers.ReLU()(small)), name="middle")
    image = layers.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(middle(inner(image)))
    return keras.Model(image, layers.Dense(2)(x))


def shared() -> Any:
    first, second = layers.Input((5,), name="first"), layers.Input((5,), name="second")
    tower = keras.Sequential([layers.Input((5,)), layers.Dense(4, activation="tanh")], name="tower")
    mixing = layers.Dense(4, name="mixing")
    one, two = mixing(tower(first)), mixing(tower(second))
    return keras.Model([first, second], layers.Dot(1)([one, two]))


def many_ends() -> Any:
    image, extra = layers.Input((8, 8, 3), name="image"), layers.Input((4,), name="extra")
    x = layers.GlobalMaxPooling2D()(layers.Conv2D(4, 3)(image))
    x = layers.Concatenate()([x, extra])
    outputs = {"kind": layers.Dense(3, name="kind")(x), "size": layers.Dense(1, name="size")(x)}
    return keras.Model({"image": image, "extra": extra}, outputs)


def graph_of_ops() -> Any:
    x = inputs = layers.Input((6, 4))
    y = ops.matmul(x, ops.transpose(x, (0, 2, 1))) / 2.0
    y = ops.softmax(y + 1.0, axis=-1) - 0.5
    x = ops.relu(x * y[:, :, :4]) + x
    x = ops.concatenate([x, ops.sqrt(ops.abs(x) + 1.0)], axis=-1)
    x = ops.reshape(x, (-1, 48))
    return keras.Model(inputs, layers.Dense(3)(x) * 2.0 + 1.0)


def preprocessing() -> Any:
    normalization = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[0.5, 0.6, 0.7])
    body = [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.RandomContrast(0.1)]
    sizes = [
        layers.Rescaling(1 / 127.5, offset=-1),
        layers.Resizing(10, 10),
        layers.CenterCrop(8, 8),
    ]
    return keras.Sequential(
        [layers.Input((12, 12, 3)), *body, *sizes, normalization, layers.Conv2D(4, 3)]
    )


def mixed_float16() -> Any:
    half = {"dtype": "mixed_float16"}
    body = [layers.Conv2D(8, 3, **half), layers.BatchNormalization(**half), layers.ReLU(**half)]
    head = [layers.GlobalAveragePooling2D(**half), layers.Dense(3, **half), layers.Softmax()]
    return keras.Sequential([layers.Input((12, 12, 3)), *body, *head])


def own_layer() -> Any:
    return keras.Sequential([layers.Input((6,)), Residue(5, name="residue"), layers.Dense(2)])


SMALL: dict[str, Callable[[], Any]] = {
    "convolutional": convolutional,
    "ResNet-8": resnet8,
    "DS-CNN": ds_cnn,
    "MobileNetV1 0.25": mobilenet_v1,
    "autoencoder": autoencoder,
    "Conv1D": conv1d,
    "SeparableConv": separable,
    "LSTM": lstm,
    "GRU": gru,
    "Bidirectional": bidirectional,
    "transformer": transformer,
    "nested": nested,
    "shared": shared,
    "several inputs and outputs": many_ends,
    "keras.ops": graph_of_ops,
    "preprocessing": preprocessing,
    "mixed_float16": mixed_float16,
    "layer of one's own": own_layer,
}

_LARGE_SHAPES = {"Xception": (71, 71, 3), "ConvNeXtTiny": (64, 64, 3)}


def application(name: str) -> Any:
    """A model of keras.applications without trained weights, on small images."""
    make = getattr(keras.applications, name)
    return make(weights=None, input_shape=_LARGE_SHAPES.get(name, (64, 64, 3)), classes=10)


APPLICATIONS = (
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "ResNet50",
    "DenseNet121",
    "NASNetMobile",
    "Xception",
    "ConvNeXtTiny",
)
