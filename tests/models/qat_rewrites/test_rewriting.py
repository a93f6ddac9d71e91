"""Rewrites leave the outputs as they are, and the model that was given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.models.keras2_models import chain, contents, functional, keras, layers, names, settled
from tfgreen.errors import UnsupportedModelError
from tfgreen.models.qat_rewrites import Rewritten, rewrite, rewriting


def image(*parts: Any) -> Any:
    return functional((8, 8, 3), chain(*parts))


def norm() -> Any:
    return layers.BatchNormalization(name="norm")


def attention(causal: bool = False) -> Any:
    x = layers.Input((6, 8))
    layer = layers.MultiHeadAttention(2, 4, name="attention")
    return settled(keras.Model(x, layer(x, x, use_causal_mask=causal)))


# The model, what the report says of which layer, and the kinds of layers that stand for it.
CASES: dict[str, tuple[Callable[[], Any], dict[str, str], list[str]]] = {
    "separable": (
        lambda: image(layers.SeparableConv2D(4, 3, strides=2, padding="same", name="sep")),
        {"sep": "depthwise and 1x1 convolution"},
        ["DepthwiseConv2D", "Conv2D"],
    ),
    "separable 1D": (
        lambda: functional((12, 3), layers.SeparableConv1D(4, 3, dilation_rate=2, name="sep")),
        {"sep": "depthwise and 1x1 convolution"},
        ["DepthwiseConv1D", "Conv1D"],
    ),
    "time distributed": (
        lambda: functional((5, 3), layers.TimeDistributed(layers.Dense(2), name="steps")),
        {"steps": "Dense on the last axis"},
        ["Dense"],
    ),
    "sigmoid in a convolution": (
        lambda: image(layers.Conv2D(4, 3, activation="sigmoid", name="conv")),
        {"conv": "sigmoid in a layer of its own"},
        ["Conv2D", "Activation"],
    ),
    "relu6": (
        lambda: image(layers.Conv2D(4, 3, name="conv"), layers.Activation("relu6", name="six")),
        {"six": "ReLU layer"},
        ["Conv2D", "ReLU"],
    ),
    "norm behind Dense": (
        lambda: functional((4,), chain(layers.Dense(5, use_bias=False, name="dense"), norm())),
        {"norm": "folded into 'dense'"},
        ["Dense", "Activation"],
    ),
    "norm behind Conv1D": (
        lambda: functional((9, 4), chain(layers.Conv1D(5, 3, name="conv"), norm(), layers.ReLU())),
        {"norm": "folded into 'conv'"},
        ["Conv1D", "ReLU"],
    ),
    "norm behind DepthwiseConv1D": (
        lambda: functional(
            (9, 4),
            chain(
                layers.DepthwiseConv1D(3, depth_multiplier=2, name="conv"), norm(), layers.ReLU()
            ),
        ),
        {"norm": "folded into 'conv'"},
        ["DepthwiseConv1D", "ReLU"],
    ),
    "norm behind Conv2D": (
        lambda: image(layers.Conv2D(4, 3), norm()),
        {},
        ["Conv2D", "BatchNormalization"],
    ),
    "norm of the input": (
        lambda: image(norm(), layers.Conv2D(4, 3)),
        {"norm": "1x1 depthwise convolution"},
        ["DepthwiseConv2D", "Conv2D"],
    ),
    "norm of a sequence": (
        lambda: functional((9, 4), norm()),
        {"norm": "1x1 depthwise convolution"},
        ["DepthwiseConv1D"],
    ),
    "norm of features": (
        lambda: functional((4,), norm()),
        {"norm": "1x1 depthwise convolution"},
        ["Reshape", "DepthwiseConv2D", "Reshape"],
    ),
    "norm without scale and center": (
        lambda: functional(
            (4, 4, 3), layers.BatchNormalization(scale=False, center=False, name="n")
        ),
        {"n": "1x1 depthwise convolution"},
        ["DepthwiseConv2D"],
    ),
    "attention": (
        attention,
        {"attention": "dense layers, products and a softmax"},
        ["BatchMatMul", "BatchMatMul", "Dense", "Dense", "Dense", "Dense", "Softmax"],
    ),
    "causal attention": (
        lambda: attention(causal=True),
        {"attention": "dense layers, products and a softmax"},
        ["BatchMatMul", "BatchMatMul", "CausalMask", "Dense", "Dense", "Dense", "Dense", "Softmax"],
    ),
    "nothing to do": (lambda: image(layers.Conv2D(4, 3, activation="relu")), {}, ["Conv2D"]),
}


@pytest.mark.parametrize("case", CASES)
def test_outputs_are_equal_and_changes_are_told(case: str) -> None:
    build, told, kinds = CASES[case]
    model = build()
    before = contents(model)
    made = rewrite(model)
    assert {change.layer: change.what for change in made.changes} == told
    assert Counter(kinds) <= Counter(kinds_of(made))
    assert_equal(model, made)
    assert contents(model) == before
    assert made.model.output_names == model.output_names


def test_nested_models_are_laid_open_under_their_path() -> None:
    inner_input = layers.Input((4,))
    inner = keras.Model(inner_input, layers.Dense(3, name="dense")(inner_input), name="encoder")
    a, b = layers.Input((4,), name="a"), layers.Input((4,), name="b")
    head = keras.Sequential([layers.Input((6,)), layers.Dense(2, name="last")], name="head")
    model = settled(keras.Model([a, b], head(layers.Concatenate()([inner(a), inner(b)]))))
    made = rewrite(model)
    assert {"encoder/dense", "head/last"} <= set(names(made.model))
    assert made.origins["encoder/dense"] == "encoder/dense"
    assert made.model.output_names == ["head"]
    shared = made.model.get_layer("encoder/dense")
    assert len(shared.inbound_nodes) == 2
    assert_equal(model, made)


def test_pieces_know_the_layer_that_they_stand_for() -> None:
    parts = layers.SeparableConv2D(4, 3, activation="tanh", name="sep")
    made = rewrite(image(parts))
    pieces = {name for name, path in made.origins.items() if path == "sep"}
    assert pieces == {"sep_depthwise", "sep_linear", "sep"}


def test_mixed_precision_computes_in_float32() -> None:
    policy = keras.mixed_precision.Policy("mixed_float16")
    model = functional((4,), layers.Dense(3, dtype=policy, name="dense"))
    made = rewrite(model)
    assert made.changes[0].what == "computes in float32 instead of float16"
    assert made.model.get_layer("dense").compute_dtype == "float32"


def test_attention_with_a_mask_stays_whole() -> None:
    x, mask = layers.Input((6, 8)), layers.Input((6, 6), dtype="bool")
    layer = layers.MultiHeadAttention(2, 4, name="attention")
    model = settled(keras.Model([x, mask], layer(x, x, attention_mask=mask)))
    assert "MultiHeadAttention" in kinds_of(rewrite(model))


def test_a_norm_with_several_readers_before_it_is_not_folded() -> None:
    x = layers.Input((4,))
    dense = layers.Dense(4, name="dense")(x)
    model = settled(
        keras.Model(x, layers.Add()([dense, layers.BatchNormalization(name="n")(dense)]))
    )
    made = rewrite(model)
    assert {c.layer: c.what for c in made.changes} == {"n": "1x1 depthwise convolution"}
    assert_equal(model, made)


def test_outputs_that_change_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewriting, "_TOLERANCE", -1.0)
    with pytest.raises(UnsupportedModelError, match="changes by .* of its largest value"):
        rewrite(image(layers.Conv2D(4, 3, activation="sigmoid", name="conv")))


def kinds_of(made: Rewritten) -> list[str]:
    return [type(layer).__name__ for layer in made.model.layers]


def assert_equal(model: Any, made: Rewritten) -> None:
    random = np.random.default_rng(1)
    x = [random.normal(size=(3, *t.shape[1:])).astype(np.float32) for t in model.inputs]
    ours, theirs = (np.asarray(m(x if len(x) > 1 else x[0])) for m in (model, made.model))
    np.testing.assert_allclose(theirs, ours, atol=1e-5 * np.abs(ours).max())
