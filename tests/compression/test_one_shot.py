"""w * (|w| >= threshold), bit for bit, in a copy; the report says what is exempt."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from tests.compression.models import (
    data,
    dense_model,
    fingerprint,
    kernels,
    models_without_a_graph,
    nested_model,
    tf_keras_model,
)
from tfgreen.compression.pruning.one_shot import prune
from tfgreen.compression.pruning.report import pruning_report
from tfgreen.errors import UnknownNameError, UnsupportedModelError, UsageError
from tfgreen.models.keras2 import tf_keras

EPSILON = 0.25
X, Y = data()


def expected(kernel: np.ndarray, threshold: float) -> bytes:
    return (kernel * (np.abs(kernel) >= threshold)).tobytes()


@pytest.mark.parametrize("make", [dense_model, tf_keras_model])
def test_bit_for_bit(make: Any) -> None:
    model = make()
    before = fingerprint(model)
    smaller = prune(model, EPSILON)
    assert fingerprint(model) == before
    for layer, other in zip(model.layers, smaller.layers, strict=True):
        for weight, pruned in zip(layer.weights, other.weights, strict=True):
            whole, left = weight.numpy(), pruned.numpy()
            is_kernel = "kernel" in weight.name
            assert left.tobytes() == (expected(whole, EPSILON) if is_kernel else whole.tobytes())
    assert np.signbit(smaller.layers[0].kernel.numpy()).any()


def test_the_result_is_of_the_same_keras_compiled_and_shares_nothing() -> None:
    model = dense_model()
    model.fit(X, Y, verbose=0)
    before = fingerprint(model)
    smaller = prune(model, threshold=EPSILON)
    assert isinstance(smaller, keras.Sequential)
    steps = int(smaller.optimizer.iterations.numpy())
    assert steps == int(model.optimizer.iterations.numpy()) > 0
    assert set(smaller.evaluate(X, Y, return_dict=True, verbose=0)) == {"loss", "accuracy"}
    smaller.fit(X, Y, verbose=0)
    assert fingerprint(model) == before
    assert isinstance(prune(tf_keras_model(), EPSILON), tf_keras().Sequential)


def test_thresholds_by_layer() -> None:
    model = nested_model()
    smaller = prune(model, {"head": 0.5, "inner_1": 0.1})
    assert kernels(smaller)["head"].tobytes() == expected(kernels(model)["head"], 0.5)
    block, pruned_block = (kernels(one.get_layer("block")) for one in (model, smaller))
    assert pruned_block["inner_1"].tobytes() == expected(block["inner_1"], 0.1)
    assert pruned_block["inner_2"].tobytes() == block["inner_2"].tobytes()
    assert kernels(smaller)["first"].tobytes() == kernels(model)["first"].tobytes()


def test_a_quantile_of_each_layer() -> None:
    model = dense_model()
    smaller = prune(model, 0.75, threshold_unit="quantile", skip="head")
    kernel = kernels(model)["hidden"]
    limit = float(np.quantile(np.abs(kernel.astype("float64")), 0.75))
    assert kernels(smaller)["hidden"].tobytes() == expected(kernel, limit)
    assert np.count_nonzero(kernels(smaller)["hidden"]) == 32  # a quarter of 128
    assert kernels(smaller)["head"].tobytes() == kernels(model)["head"].tobytes()


def test_every_kind_of_kernel() -> None:
    keras.utils.set_random_seed(7)
    layers = keras.layers
    inputs = keras.Input((6, 4, 3))
    hidden = layers.SeparableConv2D(4, 2, name="separable")(inputs)
    hidden = layers.DepthwiseConv2D(2, name="depthwise")(hidden)
    hidden = layers.PReLU(name="slopes", alpha_initializer="ones")(hidden)
    hidden = layers.Reshape((-1, 4))(hidden)
    hidden = layers.Bidirectional(layers.GRU(3, return_sequences=True), name="both")(hidden)
    hidden = layers.MultiHeadAttention(2, 3, name="attention")(hidden, hidden)
    hidden = layers.LayerNormalization(name="norm")(hidden)
    outputs = layers.Lambda(lambda x: x * 2)(layers.LSTM(3, name="lstm")(hidden))
    model = keras.Model(inputs, outputs)
    smaller = prune(model, EPSILON)
    pruned_names = set()
    for weight, pruned in zip(model.weights, smaller.weights, strict=True):
        whole = weight.numpy()
        if "kernel" in weight.name:
            assert pruned.numpy().tobytes() == expected(whole, EPSILON)
            pruned_names.add(weight.path.split("/")[0])
        else:
            assert pruned.numpy().tobytes() == whole.tobytes()
    assert pruned_names == {"separable", "depthwise", "both", "attention", "lstm"}
    report = pruning_report(smaller)
    assert {decision.layer for decision in report.with_action("pruned")} == pruned_names
    assert report.of("norm").reason == "normalization is exempt"
    assert report.of("slopes").reason == "slopes and scales are exempt"


def test_report() -> None:
    model = dense_model()
    report = pruning_report(prune(model, EPSILON, skip=["head"]))
    kernel = kernels(model)["hidden"]
    share = float(np.mean(np.abs(kernel) < EPSILON))
    assert report.of("hidden").measures == {
        "sparsity": share,
        "threshold": EPSILON,
        "weights": 128.0,
    }
    assert report.of("norm").reason == "normalization is exempt"
    assert report.of("head").reason == "named in skip"
    assert f"{round(share * 128)} of 128 kernel weights are zero" in str(report)
    assert "Biases and normalization are exempt." in report.notes


def test_a_threshold_above_all_weights_is_told() -> None:
    report = pruning_report(prune(dense_model(), {"head": 100.0}))
    assert report.of("head").reason == "no weight is left"


def test_a_model_without_report_is_refused() -> None:
    with pytest.raises(UsageError, match="has no report on pruning"):
        pruning_report(dense_model())


def test_an_uncompiled_model_stays_uncompiled() -> None:
    assert not prune(dense_model(compiled=False), EPSILON).compiled


@pytest.mark.parametrize(("model", "message"), models_without_a_graph())
def test_models_without_a_graph_are_refused(model: Any, message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        prune(model, EPSILON)


@pytest.mark.parametrize("threshold", [-1.0, float("nan"), "0.1", None, True, {"head": -1}])
def test_what_is_no_threshold_is_refused(threshold: Any) -> None:
    with pytest.raises(UsageError, match="threshold received"):
        prune(dense_model(), threshold)


def test_unknown_and_unfit_layers_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'head'"):
        prune(dense_model(), {"heads": 0.1})
    with pytest.raises(UsageError, match="Layer 'norm' .* cannot be pruned"):
        prune(dense_model(), {"norm": 0.1})
    with pytest.raises(UsageError, match="skip received 3"):
        prune(dense_model(), 0.1, skip=(3,))  # type: ignore[arg-type]
