"""The networks of the coverage table: one row each, as small as its kind allows.

Every builder takes the `keras` package and returns an uncompiled Keras 3 model whose outputs end
in a Dense layer or a 1 x 1 convolution, softmax or not, so that `conditioning` can fit them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.models import resnet8

Build = Callable[[Any], Any]
CLASSES = 10
VOCABULARY = 16
_FRAMES, _CHANNELS = 16, 6


@dataclass(frozen=True)
class Row:
    """One network of the table.

    title: as it stands in the table.
    build: makes the model.
    note: its size, and what was reduced.
    low, high: the range of its float inputs.
    variation: how much samples of a class differ, as a share of what sets classes apart; so much
        that the network with its random filters still tells the classes.
    learning_rate: of the short trainings; so little that the fitted outputs still tell the classes.
    calibration: samples to calibrate with; held_back: others, to judge by.
    is_light: whether `make test` recomputes it; the others take `make test-all`.
    is_deep: whether its weights need to be calmed, see `conditioning`.
    """

    title: str
    build: Build
    note: str
    low: float = -1.0
    high: float = 1.0
    variation: float = 0.3
    learning_rate: float = 1e-4
    calibration: int = 64
    held_back: int = 64
    is_light: bool = False
    is_deep: bool = False


def _activated(keras: Any, layer: Any, tensor: Any) -> Any:
    return keras.layers.ReLU()(keras.layers.BatchNormalization()(layer(tensor)))


def _classified(keras: Any, tensor: Any, classes: int = CLASSES) -> Any:
    return keras.layers.Dense(classes, activation="softmax", name="label")(tensor)


def ds_cnn(keras: Any) -> Any:
    """MLPerf Tiny's keyword spotter."""
    layers = keras.layers
    inputs = layers.Input((49, 10, 1), name="mfcc")
    x = _activated(keras, layers.Conv2D(64, (10, 4), (2, 2), "same"), inputs)
    x = layers.Dropout(0.2)(x)
    for _ in range(4):
        x = _activated(keras, layers.DepthwiseConv2D(3, padding="same"), x)
        x = _activated(keras, layers.Conv2D(64, 1, padding="same"), x)
    x = layers.AveragePooling2D((25, 5))(layers.Dropout(0.4)(x))
    return keras.Model(inputs, _classified(keras, layers.Flatten()(x), 12))


def autoencoder(keras: Any) -> Any:
    """MLPerf Tiny's anomaly detector."""
    layers = keras.layers
    inputs = x = layers.Input((640,), name="frames")
    for width in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = layers.Activation("relu")(layers.BatchNormalization()(layers.Dense(width)(x)))
    return keras.Model(inputs, layers.Dense(640, name="rebuilt")(x))


def application(name: str, size_pixels: int = 64, **options: Any) -> Build:
    """A network of keras.applications on small images."""

    def build(keras: Any) -> Any:
        make = getattr(keras.applications, name)
        chosen = {"classes": CLASSES, **options}
        return make(weights=None, input_shape=(size_pixels, size_pixels, 3), **chosen)

    return build


def conv1d(keras: Any) -> Any:
    """Convolutions over time with BatchNormalization, max pooling, a dilated and a causal one."""
    layers = keras.layers
    inputs = layers.Input((_FRAMES, _CHANNELS), name="signal")
    x = _activated(keras, layers.Conv1D(16, 5, padding="same"), inputs)
    x = layers.MaxPooling1D(2)(x)
    x = layers.Conv1D(16, 3, padding="causal", activation="relu")(x)
    x = layers.Conv1D(16, 3, padding="same", dilation_rate=2, activation="relu")(x)
    return keras.Model(inputs, _classified(keras, layers.GlobalAveragePooling1D()(x)))


def separable_2d(keras: Any) -> Any:
    """SeparableConv2D with its activation, and with BatchNormalization after it."""
    layers = keras.layers
    inputs = layers.Input((16, 16, 3), name="image")
    x = layers.SeparableConv2D(16, 3, padding="same", activation="relu")(inputs)
    x = _activated(keras, layers.SeparableConv2D(16, 3, strides=2, use_bias=False), x)
    x = _activated(keras, layers.SeparableConv2D(24, 3, depth_multiplier=2), x)
    return keras.Model(inputs, _classified(keras, layers.GlobalAveragePooling2D()(x)))


def separable_1d(keras: Any) -> Any:
    """SeparableConv1D with its activation, and with BatchNormalization after it."""
    layers = keras.layers
    inputs = layers.Input((_FRAMES, _CHANNELS), name="signal")
    x = layers.SeparableConv1D(16, 3, padding="same", activation="relu")(inputs)
    x = _activated(keras, layers.SeparableConv1D(16, 3, use_bias=False), x)
    return keras.Model(inputs, _classified(keras, layers.GlobalMaxPooling1D()(x)))


def lstm(keras: Any) -> Any:
    """Two LSTM layers."""
    layers = keras.layers
    inputs = layers.Input((_FRAMES, _CHANNELS), name="signal")
    x = layers.LSTM(12, return_sequences=True)(inputs)
    return keras.Model(inputs, _classified(keras, layers.LSTM(12)(x)))


def gru(keras: Any) -> Any:
    """Two GRU layers, with and without `reset_after`."""
    layers = keras.layers
    inputs = layers.Input((_FRAMES, _CHANNELS), name="signal")
    x = layers.GRU(12, return_sequences=True)(inputs)
    return keras.Model(inputs, _classified(keras, layers.GRU(12, reset_after=False)(x)))


def bidirectional(keras: Any) -> Any:
    """Bidirectional LSTM and GRU."""
    layers = keras.layers
    inputs = layers.Input((_FRAMES, _CHANNELS), name="signal")
    x = layers.Bidirectional(layers.LSTM(8, return_sequences=True))(inputs)
    x = layers.Bidirectional(layers.GRU(8))(x)
    return keras.Model(inputs, _classified(keras, x))


def transformer(keras: Any) -> Any:
    """Tokens, an embedding, two encoder blocks of attention and a feed-forward network."""
    layers = keras.layers
    tokens = layers.Input((12,), dtype="int32", name="tokens")
    x = layers.Embedding(VOCABULARY, 32, embeddings_initializer="random_normal")(tokens)
    for _ in range(2):
        attended = layers.MultiHeadAttention(4, 8, dropout=0.1)(x, x)
        x = layers.LayerNormalization()(layers.Add()([x, attended]))
        y = layers.Dense(64, activation="gelu")(x)
        x = layers.LayerNormalization(epsilon=1e-6)(x + layers.Dropout(0.1)(layers.Dense(32)(y)))
    return keras.Model(tokens, _classified(keras, layers.GlobalAveragePooling1D()(x)))


def nested(keras: Any) -> Any:
    """A Sequential inside a functional model inside a functional model."""
    layers = keras.layers
    inner = keras.Sequential(
        [layers.Input((8, 8, 8)), layers.Conv2D(8, 3), layers.BatchNormalization(), layers.ReLU()],
        name="inner",
    )
    small = layers.Input((8, 8, 8))
    middle = keras.Model(
        small, layers.Conv2D(12, 3, activation="relu")(inner(small)), name="middle"
    )
    inputs = layers.Input((16, 16, 3), name="image")
    x = middle(layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(inputs))
    return keras.Model(inputs, _classified(keras, layers.GlobalAveragePooling2D()(x)))


def shared(keras: Any) -> Any:
    """Two inputs through the same layers."""
    layers = keras.layers
    left, right = layers.Input((12,), name="left"), layers.Input((12,), name="right")
    tower = keras.Sequential(
        [layers.Input((12,)), layers.Dense(16, activation="relu", name="first")], name="tower"
    )
    mixing = layers.Dense(16, activation="relu", name="mixing")
    difference = layers.Subtract()([mixing(tower(left)), mixing(tower(right))])
    return keras.Model([left, right], _classified(keras, difference))


def many_ends(keras: Any) -> Any:
    """Two inputs, an image and features; two outputs, a class and a quantity; by name."""
    layers = keras.layers
    image, extra = layers.Input((16, 16, 3), name="image"), layers.Input((6,), name="extra")
    x = _activated(keras, layers.Conv2D(12, 3, strides=2), image)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Concatenate()([x, layers.Dense(8, activation="relu")(extra)])
    x = layers.Dense(24, activation="relu")(x)
    outputs = {"label": _classified(keras, x), "size": layers.Dense(1, name="size")(x)}
    return keras.Model({"image": image, "extra": extra}, outputs)


def graph_of_ops(keras: Any) -> Any:
    """Arithmetic and `keras.ops` between the layers."""
    layers, ops = keras.layers, keras.ops
    inputs = layers.Input((8, 8), name="table")
    x = layers.Dense(8)(inputs)
    scores = ops.softmax(ops.matmul(x, ops.transpose(x, (0, 2, 1))) / 8.0, axis=-1)
    x = ops.relu(ops.matmul(scores, x) * 0.5 + x)
    x = ops.concatenate([x[:, :, :4], ops.maximum(x[:, :, 4:], 0.1) - 0.5], axis=-1)
    x = ops.reshape(ops.transpose(x, (0, 2, 1)), (-1, 64))
    return keras.Model(inputs, _classified(keras, x))


def preprocessing(keras: Any) -> Any:
    """Augmentation, resizing, rescaling and normalization in front of a convolution."""
    layers = keras.layers
    inputs = x = layers.Input((20, 20, 3), name="image")
    for layer in (
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(0.1),
        layers.RandomContrast(0.1),
        layers.Resizing(18, 18),
        layers.CenterCrop(16, 16),
        layers.Rescaling(1 / 127.5, offset=-1),
        layers.Normalization(mean=[0.1, 0.0, -0.1], variance=[0.3, 0.25, 0.2]),
    ):
        x = layer(x)
    x = _activated(keras, layers.Conv2D(16, 3, strides=2), x)
    return keras.Model(inputs, _classified(keras, layers.GlobalAveragePooling2D()(x)))


def mixed_float16(keras: Any) -> Any:
    """Layers that compute in float16 and keep float32 weights."""
    layers, half = keras.layers, {"dtype": "mixed_float16"}
    inputs = layers.Input((16, 16, 3), name="image")
    x = layers.Conv2D(16, 3, strides=2, **half)(inputs)
    x = layers.ReLU(**half)(layers.BatchNormalization(**half)(x))
    x = layers.GlobalAveragePooling2D(**half)(layers.Conv2D(16, 3, activation="relu", **half)(x))
    x = layers.Dense(CLASSES, name="label", **half)(x)
    return keras.Model(inputs, layers.Softmax(dtype="float32", name="shares")(x))


def _of(name: str, note: str, size_pixels: int = 64, **options: Any) -> Row:
    is_scaled_inside = name.startswith(("EfficientNet", "MobileNetV3", "ConvNeXt"))
    low, high = (0.0, 255.0) if is_scaled_inside else (-1.0, 1.0)
    build = application(name, size_pixels, **options)
    row = Row(name, build, note, low, high, calibration=48, held_back=32, is_deep=True)
    is_touchy = name.startswith("EfficientNet")
    return replace(row, variation=0.15, learning_rate=1e-5) if is_touchy else row


ROWS: dict[str, Row] = {
    "ds-cnn": Row("DS-CNN (MLPerf Tiny)", ds_cnn, "49 × 10"),
    "resnet8": Row("ResNet-8 (MLPerf Tiny)", resnet8, "32 px"),
    "autoencoder": Row("Autoencoder (MLPerf Tiny)", autoencoder, "640 values"),
    "mobilenetv1-025": Row(
        "MobileNetV1 0.25 (MLPerf Tiny)",
        application("MobileNet", 96, alpha=0.25, classes=2),
        "96 px, 2 classes",
        is_deep=True,
    ),
    "mobilenet": _of("MobileNet", "64 px"),
    "mobilenetv2": _of("MobileNetV2", "64 px"),
    "mobilenetv3small": _of("MobileNetV3Small", "64 px"),
    "efficientnetb0": _of("EfficientNetB0", "64 px"),
    "efficientnetv2b0": _of("EfficientNetV2B0", "64 px"),
    "resnet50": _of("ResNet50", "64 px"),
    "densenet121": _of("DenseNet121", "64 px"),
    "nasnetmobile": _of("NASNetMobile", "64 px"),
    "xception": _of("Xception", "71 px", 71),
    "convnexttiny": _of("ConvNeXtTiny", "64 px"),
    "conv1d": Row("Conv1D", conv1d, "16 × 6", is_light=True),
    "separable-2d": Row("SeparableConv2D", separable_2d, "16 px"),
    "separable-1d": Row("SeparableConv1D", separable_1d, "16 × 6"),
    "lstm": Row("LSTM", lstm, "16 × 6"),
    "gru": Row("GRU", gru, "16 × 6"),
    "bidirectional": Row("Bidirectional LSTM and GRU", bidirectional, "16 × 6"),
    "transformer": Row("Transformer encoder", transformer, "12 tokens, 2 blocks"),
    "nested": Row("Nested models", nested, "16 px", is_light=True),
    "shared": Row("Shared layers", shared, "2 × 12 values", is_light=True),
    "many-ends": Row("Several inputs and outputs", many_ends, "16 px and 6 values", is_light=True),
    "keras-ops": Row("keras.ops graph", graph_of_ops, "8 × 8", is_light=True),
    "preprocessing": Row("Preprocessing layers", preprocessing, "20 px", 0.0, 255.0),
    "mixed-float16": Row("mixed_float16", mixed_float16, "16 px", is_light=True),
}
