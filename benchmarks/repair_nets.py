"""The networks of benchmarks/repair_table.py, each with what makes 8 or 4 bits fail on it.

All are trained for half a minute on the demonstration's keywords or on scikit-learn's digits. The
faults are put into the float .tflite: its answers stay what they are, or it is the float model
with them that a file is held against.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.models import Task, digits, keyword_ds_cnn, keyword_sequences, keywords, resnet8
from tfgreen.flatbuffer import TfliteModel, with_constants
from tfgreen.tflite.chains import pairs, scaled_columns, scaled_rows
from tfgreen.tflite.float_repairs import channel_maxima

CALIBRATION, HELD_BACK = 200, 400
_SPREAD_DECADES = 2.0
_SATURATED_CHANNELS, _SATURATION = 3, 100.0
_BELOW_SIX = 5.9

Plant = Callable[[bytes, np.ndarray, int], bytes]
"""A float file, calibration runs (n, 1, ...) and a seed to another float file."""


@dataclass(frozen=True)
class Network:
    """One row: its data, layers, training, fault, and the rules that its file is judged by.

    treatments: () for the whole ladder, else the steps that are made whatever the gate says.
    """

    title: str
    task: Callable[[], Task]
    build: Callable[[Any], Any]
    epochs: int
    profile: str
    plant: Plant | None = None
    weight_scales: str = "channel"
    treatments: tuple[str, ...] = ()
    peak_learning_rate: float = 4e-3


def noisy_digits() -> Task:
    """Digits in so much noise that a network is right in nine of ten: errors have to show."""
    task = digits(32)
    noise = np.random.default_rng(1).normal(0, 0.8, task.inputs["image"].shape)
    return Task({"image": (task.inputs["image"] + noise).astype(np.float32)}, task.labels)


def mobilenetv1(keras: Any) -> Any:
    """MobileNetV1, a quarter as wide, for 48 pixels."""
    inputs = keras.layers.Input((48, 48, 3), name="image")
    return keras.applications.MobileNet(input_tensor=inputs, weights=None, classes=10, alpha=0.25)


def masked_transformer(keras: Any) -> Any:
    """Two blocks of causal attention over 49 frames; the mask adds -1e9 to what lies ahead."""
    layers, ops = keras.layers, keras.ops
    mask = np.triu(np.full((49, 49), -1e9, np.float32), 1)
    inputs = layers.Input((49, 10), name="sequence")
    place = layers.Embedding(49, 32)(ops.arange(49))
    features = layers.Dense(32)(inputs) + place
    for _ in range(2):
        normal = layers.LayerNormalization()(features)
        query, key, value = (layers.Dense(32)(normal) for _ in range(3))
        scores = ops.matmul(query, ops.transpose(key, (0, 2, 1))) * 32**-0.5
        seen = ops.matmul(layers.Softmax()(scores + mask), value)
        features = features + layers.Dense(32)(seen)
        normal = layers.LayerNormalization()(features)
        features = features + layers.Dense(32)(layers.Dense(64, activation="relu")(normal))
    pooled = layers.GlobalAveragePooling1D()(features)
    return keras.Model(inputs, layers.Dense(12, activation="softmax", name="word")(pooled))


def gated_ds_cnn(keras: Any) -> Any:
    """A DS-CNN with one tanh in the middle."""
    layers = keras.layers
    inputs = layers.Input((49, 10, 1), name="mfcc")
    features = _activated(layers, layers.Conv2D(48, (10, 4), strides=2, padding="same"), inputs)
    for block in range(4):
        features = _activated(layers, layers.DepthwiseConv2D(3, padding="same"), features)
        pointwise = layers.Conv2D(48, 1)(features)
        features = layers.Activation("tanh" if block == 1 else "relu")(
            layers.BatchNormalization(momentum=0.9)(pointwise)
        )
    features = layers.GlobalAveragePooling2D()(features)
    return keras.Model(inputs, layers.Dense(12, activation="softmax", name="word")(features))


def _activated(layers: Any, layer: Any, tensor: Any) -> Any:
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(layer(tensor)))


def rescale_channels(content: bytes, runs: np.ndarray, seed: int) -> bytes:
    """Channels between layers divided by random factors of up to 100, and multiplied back.

    The float answers stay. Channels that a RELU6 clips keep their size.
    """
    model = TfliteModel.from_bytes(content)
    random = np.random.default_rng(seed)
    found = pairs(model)
    maxima = channel_maxima(model, [pair.tensor for pair in found], [runs])
    changed: dict[int, np.ndarray] = {}

    def constant(index: int) -> np.ndarray:
        return changed.get(index, model.constant(index).astype(np.float64))

    for pair in found:
        first, second, largest = pair.first, pair.second, maxima[pair.tensor]
        factors = 10 ** random.uniform(0, _SPREAD_DECADES, len(largest))
        if pair.clips:
            factors = np.where(largest >= _BELOW_SIX, 1.0, factors)
        changed[first.inputs[1]] = scaled_rows(first, constant(first.inputs[1]), 1 / factors)
        if first.inputs[2] >= 0:
            changed[first.inputs[2]] = constant(first.inputs[2]) / factors
        changed[second.inputs[1]] = scaled_columns(second, constant(second.inputs[1]), factors)
    return with_constants(model, {i: array.astype(np.float32) for i, array in changed.items()})


def saturate_channels(content: bytes, runs: np.ndarray, seed: int) -> bytes:
    """Three channels in front of the TANH made 100 times as large: they answer with their sign."""
    model = TfliteModel.from_bytes(content)
    tanh = next(op for op in model.ops if op.name == "TANH")
    layer = model.producer(tanh.inputs[0])
    if layer is None:
        raise SystemExit("the TANH has no layer in front of it")
    weights, bias = (model.constant(index) for index in layer.inputs[1:3])
    factors = np.ones(len(bias))
    chosen = np.random.default_rng(seed).choice(len(bias), _SATURATED_CHANNELS, replace=False)
    factors[chosen] = _SATURATION
    scaled = scaled_rows(layer, weights.astype(np.float64), factors), bias * factors
    return with_constants(
        model,
        {
            index: array.astype(np.float32)
            for index, array in zip(layer.inputs[1:3], scaled, strict=True)
        },
    )


NETWORKS: dict[str, Network] = {
    "mobilenet": Network(
        "MobileNetV1 0.25, channels rescaled, one scale a kernel",
        lambda: digits(48),
        mobilenetv1,
        14,
        "mobile-int8",
        rescale_channels,
        weight_scales="tensor",
    ),
    "transformer": Network(
        "Transformer, mask of -1e9",
        keyword_sequences,
        masked_transformer,
        25,
        "mobile-int8",
        peak_learning_rate=2e-3,
    ),
    "ds-cnn-int4": Network(
        "DS-CNN, 4-bit weights",
        keywords,
        keyword_ds_cnn,
        12,
        "mobile-weights-int4",
        treatments=("rounding",),
    ),
    "resnet8-int4": Network(
        "ResNet-8, 4-bit weights",
        noisy_digits,
        resnet8,
        8,
        "mobile-weights-int4",
        treatments=("rounding",),
        peak_learning_rate=2e-3,
    ),
    "saturated": Network(
        "DS-CNN with saturated tanh units",
        keywords,
        gated_ds_cnn,
        14,
        "mobile-int8",
        saturate_channels,
    ),
}
