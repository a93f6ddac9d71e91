"""Each layer of Keras 3 beside its twin, with settings that are not the default ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L  # noqa: N812

from tests.models.bridge.zoo import perturbed
from tfgreen.models.bridge import to_keras2, to_keras3
from tfgreen.models.bridge.comparison import TOLERANCE, output_difference
from tfgreen.models.bridge.hosting import Keras3Layer
from tfgreen.models.keras2 import tf_keras

IMAGE, SEQUENCE, VECTOR, VOLUME, FILM = (10, 10, 4), (8, 6), (8,), (6, 6, 6, 2), (4, 8, 8, 2)

Make = Callable[[], Any]

# What tf_keras has under the same name.
NATIVE: dict[str, tuple[tuple[int, ...], Make]] = {
    "Conv2D": (IMAGE, lambda: L.Conv2D(6, 3, strides=2, padding="same", activation="silu")),
    "Conv2D grouped": (IMAGE, lambda: L.Conv2D(8, 3, groups=2, use_bias=False)),
    "Conv2D dilated": (IMAGE, lambda: L.Conv2D(6, 3, dilation_rate=2)),
    "Conv2DTranspose": (IMAGE, lambda: L.Conv2DTranspose(4, 3, 2, "same", output_padding=1)),
    "DepthwiseConv2D": (IMAGE, lambda: L.DepthwiseConv2D(3, 2, depth_multiplier=2)),
    "SeparableConv2D": (IMAGE, lambda: L.SeparableConv2D(6, 3, depth_multiplier=2)),
    "Conv1D causal": (SEQUENCE, lambda: L.Conv1D(6, 3, padding="causal")),
    "Conv1DTranspose": (SEQUENCE, lambda: L.Conv1DTranspose(6, 3)),
    "DepthwiseConv1D": (SEQUENCE, lambda: L.DepthwiseConv1D(3)),
    "SeparableConv1D": (SEQUENCE, lambda: L.SeparableConv1D(6, 3)),
    "Conv3D": (VOLUME, lambda: L.Conv3D(4, 3)),
    "Conv3DTranspose": (VOLUME, lambda: L.Conv3DTranspose(4, 3)),
    "MaxPooling1D": (SEQUENCE, lambda: L.MaxPooling1D(3, 2, "same")),
    "MaxPooling2D": (IMAGE, lambda: L.MaxPooling2D(3, 2, "same")),
    "AveragePooling2D": (IMAGE, lambda: L.AveragePooling2D(3, 2, "same")),
    "AveragePooling3D": (VOLUME, lambda: L.AveragePooling3D(2)),
    "GlobalMaxPooling2D": (IMAGE, lambda: L.GlobalMaxPooling2D(keepdims=True)),
    "GlobalAveragePooling1D": (SEQUENCE, lambda: L.GlobalAveragePooling1D()),
    "BatchNormalization": (IMAGE, lambda: L.BatchNormalization(axis=1, scale=False, momentum=0.9)),
    "LayerNormalization": (IMAGE, lambda: L.LayerNormalization(axis=(1, 2, 3), epsilon=1e-5)),
    "GroupNormalization": (IMAGE, lambda: L.GroupNormalization(2)),
    "UnitNormalization": (IMAGE, lambda: L.UnitNormalization()),
    "ZeroPadding1D": (SEQUENCE, lambda: L.ZeroPadding1D(2)),
    "ZeroPadding2D": (IMAGE, lambda: L.ZeroPadding2D(((1, 2), (0, 3)))),
    "Cropping2D": (IMAGE, lambda: L.Cropping2D(((1, 2), (0, 3)))),
    "UpSampling2D": (IMAGE, lambda: L.UpSampling2D((2, 3), interpolation="bilinear")),
    "Rescaling": (IMAGE, lambda: L.Rescaling([1.0, 2.0, 3.0, 4.0], offset=-1)),
    "Normalization": (VECTOR, lambda: L.Normalization(mean=np.arange(8.0), variance=np.ones(8))),
    "Dense": (
        VECTOR,
        lambda: L.Dense(4, kernel_regularizer="l1l2", bias_constraint="non_neg", trainable=False),
    ),
    "EinsumDense": (SEQUENCE, lambda: L.EinsumDense("abc,cd->abd", (None, 5), bias_axes="d")),
    "Dropout": (VECTOR, lambda: L.Dropout(0.3, noise_shape=(None, 1), seed=3)),
    "SpatialDropout2D": (IMAGE, lambda: L.SpatialDropout2D(0.3)),
    "GaussianNoise": (VECTOR, lambda: L.GaussianNoise(0.3)),
    "AlphaDropout": (VECTOR, lambda: L.AlphaDropout(0.3)),
    "ReLU": (VECTOR, lambda: L.ReLU(6, 0.1, 0.2)),
    "LeakyReLU": (VECTOR, lambda: L.LeakyReLU(0.4)),
    "PReLU": (IMAGE, lambda: L.PReLU(shared_axes=[1, 2])),
    "ELU": (VECTOR, lambda: L.ELU(0.5)),
    "Softmax": (SEQUENCE, lambda: L.Softmax(axis=1)),
    "Reshape": (IMAGE, lambda: L.Reshape((-1, 4))),
    "Permute": (IMAGE, lambda: L.Permute((3, 1, 2))),
    "RepeatVector": (VECTOR, lambda: L.RepeatVector(3)),
    "Masking": (SEQUENCE, lambda: L.Masking(0.0)),
    "LSTM backwards": (SEQUENCE, lambda: L.LSTM(4, return_sequences=True, go_backwards=True)),
    "LSTM unrolled": (
        SEQUENCE,
        lambda: L.LSTM(4, unroll=True, recurrent_activation="hard_sigmoid"),
    ),
    "GRU": (SEQUENCE, lambda: L.GRU(4, reset_after=False, recurrent_dropout=0.1)),
    "SimpleRNN": (SEQUENCE, lambda: L.SimpleRNN(4, activation="relu")),
    "RNN of a cell": (SEQUENCE, lambda: L.RNN(L.GRUCell(4), return_sequences=True)),
    "RNN of cells": (SEQUENCE, lambda: L.RNN([L.LSTMCell(4), L.SimpleRNNCell(3)])),
    "Bidirectional": (SEQUENCE, lambda: L.Bidirectional(L.GRU(4), merge_mode="sum")),
    "Bidirectional of two": (
        SEQUENCE,
        lambda: L.Bidirectional(L.LSTM(4), backward_layer=L.GRU(4, go_backwards=True)),
    ),
    "Bidirectional of a cell": (SEQUENCE, lambda: L.Bidirectional(L.RNN(L.LSTMCell(3)))),
    "ConvLSTM2D": (FILM, lambda: L.ConvLSTM2D(3, 3)),
    "TimeDistributed": (FILM, lambda: L.TimeDistributed(L.Conv2D(3, 3))),
    "TimeDistributed model": (
        SEQUENCE,
        lambda: L.TimeDistributed(
            keras.Sequential([L.Input((6,)), L.Dense(3), L.BatchNormalization(), L.Dense(2)])
        ),
    ),
}

# What runs as Keras 3's own code: tf_keras has no such layer, or no such setting, or does it
# otherwise.
HOSTED: dict[str, tuple[tuple[int, ...], Make]] = {
    "AdaptiveAveragePooling2D": (IMAGE, lambda: L.AdaptiveAveragePooling2D(3)),
    "RMSNormalization": (SEQUENCE, lambda: L.RMSNormalization()),
    "SpectralNormalization": (IMAGE, lambda: L.SpectralNormalization(L.Conv2D(4, 3))),
    "Resizing": (IMAGE, lambda: L.Resizing(5, 7, pad_to_aspect_ratio=True)),
    "CenterCrop": (IMAGE, lambda: L.CenterCrop(6, 6)),
    "RandomCrop": (IMAGE, lambda: L.RandomCrop(6, 6)),
    "RandomZoom": (IMAGE, lambda: L.RandomZoom(0.2)),
    "RandomBrightness": (IMAGE, lambda: L.RandomBrightness(0.2)),
    "Discretization": (
        VECTOR,
        lambda: L.Discretization(bin_boundaries=[-1.0, 0.0, 1.0], output_mode="one_hot"),
    ),
    "Lambda": (SEQUENCE, lambda: L.Lambda(lambda x: x * np.float32(2))),
}


def model_of(shape: tuple[int, ...], layer: Any) -> Any:
    return perturbed(keras.Sequential([L.Input(shape), layer]))


@pytest.mark.parametrize("name", NATIVE)
def test_native_twins(name: str) -> None:
    shape, make = NATIVE[name]
    layer = make()
    model = model_of(shape, layer)
    twin = to_keras2(model)
    found = twin.get_layer(layer.name)
    assert type(found).__name__ == type(layer).__name__
    assert output_difference(model, twin) <= TOLERANCE
    clone = tf_keras().models.clone_model(twin)
    clone.set_weights(twin.get_weights())
    assert output_difference(model, clone) <= TOLERANCE
    assert output_difference(to_keras3(clone, model), twin) <= TOLERANCE


@pytest.mark.parametrize("name", HOSTED)
def test_layers_that_run_as_they_are(name: str) -> None:
    shape, make = HOSTED[name]
    layer = make()
    model = model_of(shape, layer)
    twin = to_keras2(model)
    found = twin.get_layer(layer.name)
    assert isinstance(found, Keras3Layer)
    assert found.hosted_kind == type(layer).__name__
    clone = tf_keras().models.clone_model(twin)
    clone.set_weights(twin.get_weights())
    assert output_difference(model, clone) <= TOLERANCE
    assert output_difference(to_keras3(clone, model), twin) <= TOLERANCE


@pytest.mark.parametrize(
    ("name", "make", "values"),
    [
        ("multi-hot", lambda: L.CategoryEncoding(20, output_mode="multi_hot"), 20),
        ("lookup", lambda: L.IntegerLookup(vocabulary=[1, 5, 7]), 9),
        ("hashing", lambda: L.Hashing(6), 9),
        ("embedding", lambda: L.Embedding(20, 3), 20),
    ],
)
def test_layers_of_whole_numbers(name: str, make: Make, values: int) -> None:
    model = keras.Sequential([L.Input((4,), dtype="int64"), make()])
    twin = to_keras2(perturbed(model))
    x = np.random.default_rng(0).integers(0, values, (5, 4))
    np.testing.assert_array_equal(twin.predict(x, verbose=0), model.predict(x, verbose=0))


def test_attention_with_masks() -> None:
    query, value = L.Input((5, 4), name="query"), L.Input((6, 4), name="value")
    allowed = L.Input((5, 6), dtype="bool", name="allowed")
    x = L.MultiHeadAttention(2, 3)(query, value, attention_mask=allowed)
    x = L.MultiHeadAttention(2, 3, value_dim=5, use_bias=False)(x, x, use_causal_mask=True)
    x = L.Concatenate()([x, L.Attention(use_scale=True)([query, value])])
    x = L.Concatenate()([x, L.AdditiveAttention()([query, value])])
    model = perturbed(keras.Model([query, value, allowed], x))
    assert output_difference(model, to_keras2(model)) <= TOLERANCE


def test_states_handed_from_layer_to_layer() -> None:
    inputs = L.Input((5, 3))
    _, *states = L.LSTM(4, return_state=True)(inputs)
    outputs = L.LSTM(4)(inputs, initial_state=states)
    model = perturbed(keras.Model(inputs, outputs))
    assert output_difference(model, to_keras2(model)) <= TOLERANCE


@pytest.mark.parametrize("after", ["LSTM", "Conv1D", "Flatten", "TimeDistributed", "Dropout"])
@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask:UserWarning")
def test_masks_are_handed_on_alike(after: str) -> None:
    layer = {
        "LSTM": lambda: L.LSTM(3, return_sequences=True),
        "Conv1D": lambda: L.Conv1D(3, 2),
        "Flatten": lambda: L.Flatten(),
        "TimeDistributed": lambda: L.TimeDistributed(L.Dense(3)),
        "Dropout": lambda: L.Dropout(0.1),
    }[after]()
    tail = [L.Dense(2)] if after == "Flatten" else [L.GlobalAveragePooling1D(), L.Dense(2)]
    model = keras.Sequential(
        [L.Input((7,), dtype="int32"), L.Embedding(9, 4, mask_zero=True), layer, *tail]
    )
    assert output_difference(perturbed(model), to_keras2(model)) <= TOLERANCE


def test_normalization_keeps_its_constants() -> None:
    """tf_keras's own forgets them when a clone gets them with set_weights."""
    layer = L.Normalization()
    layer.adapt(np.random.default_rng(0).normal(3, 2, (50, 4)))
    model = keras.Sequential([L.Input((4,)), layer, L.Dense(2)])
    twin = to_keras2(model)
    clone = tf_keras().models.clone_model(twin)
    clone.set_weights(twin.get_weights())
    assert output_difference(model, clone) <= TOLERANCE
    again = to_keras3(clone, model)
    for one, two in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_layer_of_ones_own_is_trained_with_its_updates() -> None:
    from tests.models.bridge.zoo import Residue

    model = keras.Sequential([L.Input((6,)), Residue(5, name="residue"), L.Dense(2)])
    twin = to_keras2(model)
    x, y = np.random.default_rng(0).normal(2, 1, (32, 6)), np.ones((32, 2))
    for one in (model, twin):
        one.compile("sgd", "mse")
        one.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    again = to_keras3(twin, model)
    for before, after in zip(model.weights, again.weights, strict=True):
        np.testing.assert_allclose(before, after, atol=1e-6)
    mean = again.layers[0].normalization.moving_mean
    assert np.abs(np.asarray(mean)).max() > 0.1
