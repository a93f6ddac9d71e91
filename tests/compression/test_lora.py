"""Low-rank adapters in a decoder: what is trained, what merging gives, what files compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import tfgreen as tg
from tfgreen.errors import UnknownNameError, UnsupportedModelError, UsageError
from tfgreen.generative.network import build_decoder
from tfgreen.models.adapters import has_adapters
from tfgreen.models.graph import open_for_conversion

VOCABULARY, CONTEXT, WIDTH = 29, 12, 32
X = np.random.default_rng(0).integers(0, VOCABULARY, (4, CONTEXT)).astype(np.int32)


def decoder() -> keras.Model:
    keras.utils.set_random_seed(1)
    model = build_decoder(VOCABULARY, CONTEXT, width=WIDTH, layers=1, heads=4, kv_heads=2)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def stirred(model: keras.Model) -> keras.Model:
    """Adapters with values, as if trained."""
    random = np.random.default_rng(2)
    for variable in model.trainable_variables:
        variable.assign(random.normal(0, 0.3, variable.shape))
    return model


def test_only_adapters_are_trained_and_the_start_is_the_model() -> None:
    model = decoder()
    before = model.get_weights()
    tuned = tg.with_lora(model, rank=3)
    np.testing.assert_array_equal(tuned(X), model(X))
    # (rows + columns) · rank of query, key, value, output, and of the two feed-forward layers
    sums = (32 + 32) + 2 * (32 + 16) + (32 + 32) + 2 * (32 + 128)
    assert sum(v.shape.num_elements() for v in tuned.trainable_variables) == 3 * sums
    tuned.fit(X[:, :-1], X[:, 1:], epochs=2, verbose=0)
    assert np.abs(np.asarray(tuned(X)) - np.asarray(model(X))).max() > 1e-5
    names = ("kernel", "bias", "tokens", "positions", "gamma", "beta")
    kept = {v.path: v.numpy() for v in tuned.variables if v.name in names}
    for variable, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(kept[variable.path], value)


@pytest.mark.parametrize("alpha", [None, 6.0])
def test_merged_kernels_are_the_sum(alpha: float | None) -> None:
    model = decoder()
    tuned = stirred(tg.with_lora(model, rank=2, alpha=alpha))
    merged = tg.merge_lora(tuned)
    assert not has_adapters(merged)
    assert [v.path for v in merged.weights] == [v.path for v in model.weights]
    assert len(merged.trainable_variables) == len(model.trainable_variables)
    np.testing.assert_allclose(merged(X), tuned(X), atol=1e-5)
    layer = tuned.get_layer("block_0_attention").query
    product = layer.lora_kernel_a.numpy() @ layer.lora_kernel_b.numpy()
    expected = model.get_layer("block_0_attention").query.kernel.numpy()
    expected = expected + (alpha or 2) / 2 * product
    found = merged.get_layer("block_0_attention").query.kernel
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_plain_model_is_copied() -> None:
    model = decoder()
    np.testing.assert_array_equal(tg.merge_lora(model)(X), model(X))


def test_layers_by_name() -> None:
    tuned = tg.with_lora(decoder(), rank=1, layers=["CausalSelfAttention"])
    owners = {v.path.split("/")[0] for v in tuned.trainable_variables}
    assert owners == {"block_0_attention"}


def test_embeddings_and_dense_layers_of_keras() -> None:
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((6,), dtype="int32"),
        keras.layers.Embedding(20, 8),
        keras.layers.Dense(3),
    ]
    model = keras.Sequential(layers)
    tuned = stirred(tg.with_lora(model, rank=2))
    assert len(tuned.trainable_variables) == 4
    x = np.arange(12).reshape(2, 6)
    np.testing.assert_allclose(tg.merge_lora(tuned)(x), tuned(x), atol=1e-6)


@pytest.mark.slow
def test_the_ordinary_export_merges() -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(6, "relu", name="hidden"),
                              keras.layers.Dense(3)])  # fmt: skip
    tuned = stirred(tg.with_lora(model, rank=2, layers=["hidden"]))
    x = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
    bundle = tg.export(tuned, x, profile="mobile-float16")
    (given,), (answer,) = bundle.golden.inputs.values(), bundle.golden.outputs["reference"]
    np.testing.assert_allclose(answer[:, 0], tuned(given), atol=1e-2)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rank": 0}, UsageError, "rank=0"),
        ({"rank": 2.0}, UsageError, "rank=2.0"),
        ({"layers": ["final_norm"]}, UsageError, "nothing to adapt in final_norm"),
        ({"layers": ["hed"]}, UnknownNameError, "hed"),
    ],
)
def test_misfitting_arguments(options: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        tg.with_lora(decoder(), **options)


def test_adapters_upon_adapters_and_in_techniques_are_refused() -> None:
    tuned = tg.with_lora(decoder(), 2)
    with pytest.raises(UnsupportedModelError, match="low-rank adapters"):
        tg.Pruning(sparsity=0.5).prepare(tuned)
    with pytest.raises(UnsupportedModelError, match="low-rank adapters"):
        tg.prune(tuned, threshold=0.1)
    with pytest.raises(UnsupportedModelError, match="low-rank adapters.*tfgreen.merge_lora"):
        tg.with_lora(tuned, 2)


def test_a_saved_model_is_merged(tmp_path: Path) -> None:
    tuned = stirred(tg.with_lora(decoder(), 2))
    tuned.save(tmp_path / "tuned.keras")
    loaded = tg.load_model(tmp_path / "tuned.keras")
    np.testing.assert_allclose(loaded(X), tuned(X), atol=1e-5)


def test_the_converter_gets_kernels_without_adapters(tmp_path: Path) -> None:
    """A Keras file says that there are adapters, and holds the sums already."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
    tuned = stirred(tg.with_lora(model, rank=2))
    tuned.save(tmp_path / "tuned.keras")
    opened = open_for_conversion(tmp_path / "tuned.keras")
    assert opened.rewrites == ("low-rank adapters are added to the kernels",)
    x = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    (name,) = (spec.name for spec in opened.inputs)
    (answer,) = opened.predict({name: x}).values()
    np.testing.assert_allclose(answer, tuned(x), atol=1e-5)
