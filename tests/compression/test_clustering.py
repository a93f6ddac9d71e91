"""Clustering: few values per kernel, zeros kept, the caller's model left alone, all told."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np
import pytest

from tests.compression.models import (
    CLASSES,
    FEATURES,
    compile_classifier,
    data,
    dense_model,
    fingerprint,
    kernels,
    nested_model,
    tf_keras_model,
)
from tfgreen.compression.clustering.clustering import Clustering
from tfgreen.compression.clustering.plan import INITS
from tfgreen.errors import UnknownNameError, UnsupportedModelError, UsageError
from tfgreen.models.keras2 import is_model, model_optimization, tf_keras

LAYERS = keras.layers
STEPS, CHANNELS = 6, 4


def distinct(array: Any) -> int:
    return int(np.unique(np.asarray(array)).size)


def classifier(*layers: Any, shape: tuple[int, ...] = (STEPS, CHANNELS), dtype: str = "") -> Any:
    keras.utils.set_random_seed(5)
    inputs = keras.Input(shape, dtype=dtype or None)
    model = keras.Sequential([inputs, *layers, LAYERS.Dense(CLASSES, name="head")])
    compile_classifier(model, keras)
    return model


def attention_model() -> Any:
    keras.utils.set_random_seed(5)
    inputs = keras.Input((STEPS, CHANNELS))
    attended = LAYERS.MultiHeadAttention(2, 3, name="attention")(inputs, inputs)
    pooled = LAYERS.GlobalAveragePooling1D()(LAYERS.LayerNormalization()(inputs + attended))
    model = keras.Model(inputs, LAYERS.Dense(CLASSES, name="head")(pooled))
    compile_classifier(model, keras)
    return model


def shared_model() -> Any:
    keras.utils.set_random_seed(5)
    inputs, shared = keras.Input((CHANNELS,)), LAYERS.Dense(CHANNELS, name="shared")
    model = keras.Model(inputs, LAYERS.Dense(CLASSES, name="head")(shared(shared(inputs))))
    compile_classifier(model, keras)
    return model


def masked_model() -> Any:
    embedding = LAYERS.Embedding(9, 5, mask_zero=True, name="embedding")
    return classifier(embedding, LAYERS.LSTM(4), shape=(STEPS,), dtype="int32")


def samples_for(model: Any) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    shape, dtype = tuple(model.inputs[0].shape[1:]), str(model.inputs[0].dtype)
    x = random.integers(0, 9, (16, *shape)) if "int" in dtype else random.normal(size=(16, *shape))
    return x.astype(dtype), random.integers(0, CLASSES, 16)


@pytest.mark.parametrize("init", INITS)
def test_kernels_have_few_values_after_training(init: Any) -> None:
    model, (x, y) = dense_model(), data()
    before = fingerprint(model)
    clustering = Clustering(clusters=4, init=init)
    wrapped = clustering.prepare(model)
    assert is_model(wrapped)
    wrapped.fit(x, y, epochs=2, verbose=0)
    clustered = clustering.finalize(wrapped)
    assert isinstance(clustered, keras.Sequential)
    assert all(distinct(kernel) <= 4 for kernel in kernels(clustered).values())
    assert clustered.evaluate(x, y, verbose=0) == pytest.approx(wrapped.evaluate(x, y, verbose=0))
    assert fingerprint(model) == before


def test_untrained_weights_go_to_the_nearest_of_evenly_spaced_centroids() -> None:
    model = dense_model()
    clustering = Clustering(clusters=5, init="linear")
    clustered = kernels(clustering.finalize(clustering.prepare(model)))
    for name, kernel in kernels(model).items():
        centroids = np.linspace(kernel.min(), kernel.max(), 5)
        nearest = np.argmin(np.abs(kernel[..., None] - centroids), axis=-1)
        np.testing.assert_allclose(clustered[name], centroids[nearest], rtol=1e-5)


def test_training_moves_the_centroids_and_lowers_the_loss() -> None:
    model, (x, y) = tf_keras_model(), data()
    clustering = Clustering(clusters=6)
    wrapped = clustering.prepare(model)
    values = kernels(clustering.finalize(wrapped))
    losses = wrapped.fit(x, y, epochs=15, verbose=0).history["loss"]
    assert losses[-1] < 0.9 * losses[0]
    trained = clustering.finalize(wrapped)
    assert is_model(trained)
    for name, kernel in kernels(trained).items():
        assert distinct(kernel) <= 6
        assert not np.isin(np.unique(kernel), np.unique(values[name])).all()


def sparse_model() -> Any:
    model = dense_model()
    for layer in (model.get_layer("hidden"), model.get_layer("head")):
        kernel = np.asarray(layer.kernel)
        layer.kernel.assign(np.where(np.abs(kernel) < np.median(np.abs(kernel)), 0, kernel))
    return model


def test_zeros_stay_zero() -> None:
    model, (x, y) = sparse_model(), data()
    clustering = Clustering(clusters=5, preserve_sparsity=True)
    wrapped = clustering.prepare(model)
    wrapped.fit(x, y, epochs=3, verbose=0)
    after = kernels(clustering.finalize(wrapped))
    for name, kernel in kernels(model).items():
        assert not after[name][kernel == 0].any()
        assert distinct(after[name]) <= 5
    assert clustering.report(wrapped).of("hidden").measures["sparsity"] >= 0.5


def test_zeros_are_lost_without_being_asked_to_stay() -> None:
    model, (x, y) = sparse_model(), data()
    clustering = Clustering(clusters=5, init="linear")
    wrapped = clustering.prepare(model)
    wrapped.fit(x, y, epochs=1, verbose=0)
    assert np.count_nonzero(kernels(clustering.finalize(wrapped))["hidden"]) > 64


def test_a_kernel_with_few_non_zero_weights_keeps_its_zeros() -> None:
    model = dense_model()
    head = model.get_layer("head")
    kernel = np.zeros(head.kernel.shape, "float32")
    kernel[0] = [0.5, 0.25, -1]
    head.kernel.assign(kernel)
    clustering = Clustering(clusters=6, preserve_sparsity=True)
    wrapped = clustering.prepare(model)
    after = kernels(clustering.finalize(wrapped))["head"]
    np.testing.assert_allclose(after, kernel, atol=1e-6)
    assert "3 different weights" in clustering.report(wrapped).of("head").reason


MODELS = {
    "lstm": lambda: classifier(LAYERS.LSTM(4, name="recurrent")),
    "gru": lambda: classifier(LAYERS.GRU(4, name="recurrent")),
    "bidirectional": lambda: classifier(LAYERS.Bidirectional(LAYERS.LSTM(3), name="both")),
    "cells": lambda: classifier(LAYERS.RNN([LAYERS.LSTMCell(3), LAYERS.GRUCell(4)])),
    "attention": attention_model,
    "shared": shared_model,
    "masked": masked_model,
    "nested": nested_model,
    "conv1d": lambda: classifier(LAYERS.Conv1D(4, 3, name="conv"), LAYERS.Flatten()),
    "mixed": lambda: classifier(
        LAYERS.Conv1D(4, 3, dtype="mixed_float16"),
        LAYERS.Flatten(),
        LAYERS.Dense(6, dtype="mixed_float16"),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_layers_of_many_kinds(name: str) -> None:
    model = MODELS[name]()
    x, y = samples_for(model)
    before = fingerprint(model)
    clustering = Clustering(clusters=4)
    wrapped = clustering.prepare(model)
    wrapped.fit(x, y, epochs=1, verbose=0)
    clustered = clustering.finalize(wrapped)
    weights = {weight.path: np.asarray(weight.value) for weight in clustered.weights}
    few = {path for path, w in weights.items() if re.search("kernel|embeddings", path)}
    assert few
    assert all(distinct(weights[path]) <= 4 for path in few)
    tolerance = 2e-2 if name == "mixed" else 1e-5
    np.testing.assert_allclose(clustered(x), wrapped(x), rtol=tolerance, atol=tolerance)
    assert fingerprint(model) == before


def test_dropout_inside_a_recurrent_layer_works_in_training_only() -> None:
    model = classifier(LAYERS.LSTM(4, dropout=0.5))
    wrapped = Clustering(clusters=4).prepare(model)
    x, _ = samples_for(model)
    assert not np.array_equal(wrapped(x, training=True), wrapped(x, training=True))
    np.testing.assert_array_equal(wrapped(x), wrapped(x))


def test_a_frozen_layer_is_clustered_and_stays_frozen() -> None:
    model, (x, y) = dense_model(compiled=False), data()
    model.get_layer("hidden").trainable = False
    compile_classifier(model, keras)
    clustering = Clustering(clusters=4)
    wrapped = clustering.prepare(model)
    before = kernels(clustering.finalize(wrapped))
    wrapped.fit(x, y, epochs=1, verbose=0)
    after = kernels(clustering.finalize(wrapped))
    np.testing.assert_array_equal(after["hidden"], before["hidden"])
    assert distinct(after["hidden"]) == 4
    assert not np.array_equal(after["head"], before["head"])


def test_activity_regularizer_counts() -> None:
    model = classifier(
        LAYERS.Dense(3, activity_regularizer=keras.regularizers.L1(1.0)), shape=(FEATURES,)
    )
    wrapped, x = Clustering(clusters=4).prepare(model), data()[0]
    wrapped(x)
    hidden = tf_keras().Model(wrapped.input, wrapped.layers[1].output)(x)
    expected = float(np.abs(hidden).sum()) / len(x)
    assert float(sum(wrapped.losses)) == pytest.approx(expected, rel=1e-4)


def test_numbers_by_layer() -> None:
    model = dense_model()
    clustering = Clustering(clusters={"head": 8, LAYERS.Dense: 4}, init="linear")
    after = kernels(clustering.finalize(clustering.prepare(model)))
    assert {name: distinct(kernel) for name, kernel in after.items()} == {"hidden": 4, "head": 8}


def test_layers_and_skip() -> None:
    model = nested_model()
    clustering = Clustering(clusters=4, layers=("re:block/.*", "head"), skip=("block/inner_2",))
    wrapped = clustering.prepare(model)
    report = clustering.report(wrapped)
    clustered = {decision.layer for decision in report.with_action("clustered")}
    assert clustered == {"block/inner_1", "head"}
    assert report.of("block/inner_2").reason == "named in skip"
    assert report.of("block/norm").reason == "normalization is exempt"
    assert report.of("first").reason == "not among the layers asked for"
    after = clustering.finalize(wrapped).get_layer("block").get_layer("inner_2").kernel
    before = model.get_layer("block").get_layer("inner_2").kernel
    np.testing.assert_array_equal(after, before)


def test_every_layer_that_is_left_alone_is_told_with_the_reason() -> None:
    model = classifier(
        LAYERS.TimeDistributed(LAYERS.Dense(4), name="steps"),
        LAYERS.Reshape((STEPS, 2, 2), name="reshape"),
        LAYERS.DepthwiseConv2D(2, name="depthwise"),
        LAYERS.SeparableConv2D(6, 1, name="separable"),
        LAYERS.BatchNormalization(name="norm"),
        LAYERS.Conv2D(1, 1, name="few"),
        LAYERS.Flatten(name="flat"),
    )
    clustering = Clustering(clusters=8)
    report = clustering.report(clustering.prepare(model))
    assert {decision.layer: decision.reason for decision in report.layers} == {
        "separable": "its depthwise kernel is left alone",
        "head": "",
        "steps": "TensorFlow Model Optimization has no clustering for TimeDistributed",
        "reshape": "no weights",
        "depthwise": "depthwise kernels are small and matter much",
        "norm": "normalization is exempt",
        "few": "its 6 weights are no more than 8 clusters",
        "flat": "no weights",
    }
    assert report.of("head").measures == {"clusters": 8, "weights": 15, "sparsity": 0}
    assert "do not make any kernel faster" in str(report)
    with pytest.raises(UsageError, match="'depthwise' .* cannot be clustered: depthwise"):
        Clustering(layers=("depthwise",)).prepare(model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clusters": 1}, "clusters received 1; expected a whole number from 2"),
        ({"clusters": 2.5}, "clusters received 2.5"),
        ({"clusters": True}, "clusters received True"),
        ({"clusters": 2, "preserve_sparsity": True}, r"from 3 on \(one of them is zero\)"),
        ({"clusters": {}}, "empty mapping"),
        ({"clusters": {"a": 0}}, "clusters received 0"),
        ({"clusters": {"a": 4}, "layers": ("a",)}, "with clusters by layer"),
        ({"layers": ()}, "no layer at all"),
        ({"skip": (3,)}, "skip received 3 as a layer"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Clustering(**options)


def test_numbers_of_numpy_are_taken() -> None:
    assert Clustering(clusters=np.int64(16)) == Clustering(clusters=16)
    assert Clustering(clusters={"a": np.int32(4)}) == Clustering(clusters={"a": 4})


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="Unknown init 'kmeans'.*'kmeans\\+\\+'"):
        Clustering(init="kmeans")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="Unknown layer 'hiden'. Did you mean 'hidden'"):
        Clustering(skip=("hiden",)).prepare(dense_model())


def test_models_that_cannot_be_clustered() -> None:
    class Subclassed(keras.Model):
        def call(self, inputs: Any) -> Any:
            return inputs

    clustering = Clustering(clusters=4)
    with pytest.raises(UnsupportedModelError, match="subclassed"):
        clustering.prepare(Subclassed())
    with pytest.raises(UnsupportedModelError, match="never built"):
        clustering.prepare(keras.Sequential([LAYERS.Dense(2)]))
    model = keras.Sequential([keras.Input((4,)), LAYERS.BatchNormalization()])
    with pytest.raises(UnsupportedModelError, match="No layer .*: normalization is exempt"):
        clustering.prepare(model)


def test_wrapped_models_are_refused() -> None:
    wrapped = Clustering(clusters=4).prepare(dense_model())
    with pytest.raises(UsageError, match="'cluster_.*' of 'dense_model' is a ClusterWeights"):
        Clustering(clusters=4).prepare(wrapped)
    pruned = model_optimization().sparsity.keras.prune_low_magnitude(tf_keras_model())
    with pytest.raises(UsageError, match="Clustering comes after pruning"):
        Clustering(clusters=4).prepare(pruned)


def test_models_of_others_are_refused() -> None:
    clustering, model = Clustering(clusters=4), dense_model()
    for action in (clustering.finalize, clustering.report):
        with pytest.raises(UsageError, match="was not prepared by this Clustering"):
            action(model)
    with pytest.raises(UsageError, match="was not prepared by this Clustering"):
        Clustering(clusters=8).finalize(clustering.prepare(model))
