"""The decoder's layers against Keras's own and against their definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from tfgreen.errors import UnsupportedModelError, UsageError
from tfgreen.generative.network import CausalSelfAttention, TokenEmbedding, build_decoder
from tfgreen.generative.network.attention import rotary_frequencies
from tfgreen.generative.network.positions import CachedWindow
from tfgreen.generative.network.stepping import decoder_facts, step
from tfgreen.models.loading import load_model

VOCABULARY, CONTEXT = 29, 16
VARIANTS: dict[str, dict[str, Any]] = {
    "gpt": {},
    "llama": {
        "positions": "rotary", "norm": "rms", "gated": True, "activation": "silu",
        "kv_heads": 2, "tied": False,
    },
}  # fmt: skip


@pytest.fixture(scope="module", params=VARIANTS)
def decoder(request: pytest.FixtureRequest) -> keras.Model:
    keras.utils.set_random_seed(1)
    return build_decoder(
        VOCABULARY, CONTEXT, width=32, layers=2, heads=4, **VARIANTS[request.param]
    )


def tokens(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, VOCABULARY, (1, count)).astype(np.int32)


def test_attention_is_what_keras_computes_with_a_causal_mask() -> None:
    keras.utils.set_random_seed(0)
    ours, keras_own = CausalSelfAttention(4, 8), keras.layers.MultiHeadAttention(4, 8)
    given = keras.random.normal((2, 7, 24))
    ours(given), keras_own(given, given)
    query, key, value, output = (ours.query, ours.key, ours.value, ours.output_projection)
    weights = []
    for layer in (query, key, value):
        weights += [layer.kernel.numpy().reshape(24, 4, 8), layer.bias.numpy().reshape(4, 8)]
    keras_own.set_weights([*weights, output.kernel.numpy().reshape(4, 8, 24), output.bias.numpy()])
    expected = keras_own(given, given, use_causal_mask=True)
    np.testing.assert_allclose(ours(given), expected, atol=1e-6)


def test_grouped_queries_are_repeated_keys_and_values() -> None:
    keras.utils.set_random_seed(0)
    grouped, whole = CausalSelfAttention(4, 8, kv_heads=2), CausalSelfAttention(4, 8)
    given = keras.random.normal((1, 6, 16))
    grouped(given), whole(given)
    whole.query.set_weights(grouped.query.get_weights())
    whole.output_projection.set_weights(grouped.output_projection.get_weights())
    for name in ("key", "value"):
        kernel, bias = getattr(grouped, name).get_weights()
        heads = np.repeat(kernel.reshape(16, 2, 8), 2, axis=1).reshape(16, 32)
        getattr(whole, name).set_weights([heads, np.repeat(bias.reshape(2, 8), 2, axis=0).ravel()])
    np.testing.assert_allclose(grouped(given), whole(given), atol=1e-6)


def test_rotary_scores_depend_on_the_distance_alone() -> None:
    """The same input at every position: all positions answer alike, wherever they stand."""
    layer = CausalSelfAttention(2, 8, rotary_frequencies=rotary_frequencies(8))
    row = keras.random.normal((1, 1, 16))
    answers = np.asarray(layer(ops.repeat(row, 9, axis=1)))
    np.testing.assert_allclose(answers, np.repeat(answers[:, :1], 9, axis=1), atol=1e-5)


def test_reach_hides_what_is_too_far_back() -> None:
    layer = CausalSelfAttention(2, 8, reach=3, mask_value=-1e4)
    given = np.random.default_rng(0).normal(size=(1, 8, 16)).astype(np.float32)
    other = given.copy()
    other[0, 0] += 1
    change = np.abs(np.asarray(layer(given)) - np.asarray(layer(other))).max(axis=(0, 2))
    assert (change[:3] > 1e-3).all()
    assert change[3:].max() == 0


def test_no_score_outweighs_the_mask() -> None:
    """Scores of a hundred and more: a mask that is only added would let the future through."""
    keras.utils.set_random_seed(0)
    layer = CausalSelfAttention(2, 8)
    given = 40 * np.random.default_rng(0).normal(size=(1, 8, 16)).astype(np.float32)
    other = given.copy()
    other[0, 5:] += 10
    assert np.abs(np.asarray(layer(given)) - np.asarray(layer(other)))[:, :5].max() == 0


def test_step_by_step_with_a_cache_is_the_whole_window(decoder: keras.Model) -> None:
    facts, given = decoder_facts(decoder), tokens(12)
    expected = np.asarray(decoder(given))
    window = CachedWindow(
        ops.arange(5, dtype="int32"),
        {
            layer.name: (ops.zeros((1, layer.kv_heads, CONTEXT, layer.key_size)),) * 2
            for layer in facts.attention
        },
    )
    answers = [np.asarray(step(decoder, given[:, :5], window))]
    for place in range(5, 12):
        window = CachedWindow(ops.convert_to_tensor([place], "int32"), window.caches)
        answers.append(np.asarray(step(decoder, given[:, place : place + 1], window)))
    np.testing.assert_allclose(np.concatenate(answers, axis=1), expected, atol=2e-6)


def test_facts(decoder: keras.Model) -> None:
    facts = decoder_facts(decoder)
    assert (facts.vocabulary, facts.context, len(facts.attention)) == (VOCABULARY, CONTEXT, 2)


def test_a_saved_decoder_loads(decoder: keras.Model, tmp_path: Path) -> None:
    path = tmp_path / "decoder.keras"
    decoder.save(path)
    loaded = load_model(path)
    np.testing.assert_array_equal(loaded(tokens(9)), decoder(tokens(9)))


def test_a_model_without_a_causal_mask_is_refused() -> None:
    given = keras.Input((None,), dtype="int32")
    vectors = TokenEmbedding(VOCABULARY, 16, CONTEXT)(given)
    seen = keras.layers.MultiHeadAttention(2, 8, name="sees_all")(vectors, vectors)
    encoder = keras.Model(given, keras.layers.Dense(VOCABULARY)(seen), name="encoder")
    with pytest.raises(UnsupportedModelError, match="no causal mask.*'sees_all'.*tfgreen.export"):
        decoder_facts(encoder)


def test_a_layer_that_looks_ahead_beside_the_attention_is_refused() -> None:
    given = keras.Input((None,), dtype="int32")
    vectors = TokenEmbedding(VOCABULARY, 16, CONTEXT)(given)
    seen = CausalSelfAttention(2, 8)(vectors)
    mixed = keras.layers.Conv1D(16, 3, padding="same")(seen)
    model = keras.Model(given, keras.layers.Dense(VOCABULARY)(mixed), name="ahead")
    with pytest.raises(UnsupportedModelError, match="no causal mask throughout"):
        decoder_facts(model)


def test_other_ends_are_refused() -> None:
    given = keras.Input((None,), dtype="int32")
    vectors = CausalSelfAttention(2, 8)(TokenEmbedding(VOCABULARY, 16, CONTEXT)(given))
    pooled = keras.layers.GlobalAveragePooling1D()(vectors)
    with pytest.raises(UnsupportedModelError, match="one output of scores"):
        decoder_facts(keras.Model(given, pooled))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"heads": 4, "key_size": 8, "kv_heads": 3}, "multiple of kv_heads"),
        ({"heads": 4, "key_size": 8, "mask_value": 30.0}, "negative number"),
        ({"heads": 4, "key_size": 8, "rotary_frequencies": [1.0]}, "key_size / 2"),
    ],
)
def test_misfitting_arguments(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        CausalSelfAttention(**given)


def test_builder_refuses_a_width_that_heads_do_not_divide() -> None:
    with pytest.raises(UsageError, match="multiple of the heads"):
        build_decoder(VOCABULARY, CONTEXT, width=30, heads=4)
