"""Sliced decoders against the larger ones with zeros, and importance against its definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tfgreen.compression.lora import with_lora
from tfgreen.errors import InvalidDataError, UnknownNameError, UnsupportedModelError, UsageError
from tfgreen.generative.network import CausalSelfAttention, TokenEmbedding, build_decoder
from tfgreen.generative.network.exporting import float_file
from tfgreen.generative.network.importance import importance
from tfgreen.generative.network.stepping import decoder_facts
from tfgreen.generative.network.units import Heads, units_of
from tfgreen.generative.session import Session
from tfgreen.generative.slicing import slice_decoder

VOCABULARY, CONTEXT, WIDTH = 29, 12, 32
WINDOWS = np.random.default_rng(0).integers(0, VOCABULARY, (3, CONTEXT + 1))
X = WINDOWS[:, :-1]
VARIANTS: dict[str, dict[str, Any]] = {
    "gpt": {},
    "llama": {
        "positions": "rotary", "norm": "rms", "gated": True, "activation": "silu",
        "kv_heads": 2, "tied": False,
    },
    "one key": {"kv_heads": 1, "dropout": 0.1},
}  # fmt: skip


def made(layers: int = 2, **options: Any) -> keras.Model:
    keras.utils.set_random_seed(1)
    model = build_decoder(VOCABULARY, CONTEXT, width=WIDTH, layers=layers, heads=4, **options)
    for weight in model.weights:  # as if trained: biases too have values
        if weight.dtype == "float32":
            weight.assign(weight + keras.random.normal(weight.shape, stddev=0.05))
    return model


@pytest.fixture(scope="module", params=VARIANTS)
def decoder(request: pytest.FixtureRequest) -> keras.Model:
    return made(**VARIANTS[request.param])


@pytest.fixture(scope="module")
def small() -> keras.Model:
    return made(layers=1)


def without(model: keras.Model, kept: dict[str, tuple[int, ...]]) -> np.ndarray:
    """What the larger decoder answers when the output weights of all other units are zero."""
    weights = model.get_weights()
    for name, stay in kept.items():
        if name.endswith("attention"):
            layer = model.get_layer(name)
            kernel, size = layer.output_projection.kernel, layer.key_size
        else:
            kernel, size = model.get_layer(name.replace("open", "close")).kernel, 1
        mask = np.isin(np.arange(kernel.shape[0]) // size, stay)
        kernel.assign(kernel * mask[:, None].astype(np.float32))
    answer = np.asarray(model(X))
    model.set_weights(weights)
    return answer


def test_what_stays_computes_as_before(decoder: keras.Model) -> None:
    before = decoder.get_weights()
    sliced = slice_decoder(decoder, WINDOWS, heads=0.5, neurons=0.5)
    np.testing.assert_allclose(sliced.model(X), without(decoder, dict(sliced.kept)), atol=2e-5)
    for one, other in zip(before, decoder.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_parts_without_output_weights_go_and_nothing_changes(decoder: keras.Model) -> None:
    weights = decoder.get_weights()
    for number in range(2):
        attention = decoder.get_layer(f"block_{number}_attention")
        rows = attention.output_projection.kernel.numpy()
        rows[: 2 * attention.key_size] = 0
        attention.output_projection.kernel.assign(rows)
        closing = decoder.get_layer(f"block_{number}_feed_close")
        rows = closing.kernel.numpy()
        rows[1::2] = 0
        closing.kernel.assign(rows)
    expected = np.asarray(decoder(X))
    sliced = slice_decoder(decoder, WINDOWS, heads=0.5, neurons=0.5)
    decoder.set_weights(weights)
    np.testing.assert_allclose(sliced.model(X), expected, atol=2e-5)
    assert sliced.kept["block_0_attention"] == (2, 3)
    assert sliced.kept["block_0_feed_open"] == tuple(range(0, 4 * WIDTH, 2))


def test_matrices_are_smaller() -> None:
    sliced = slice_decoder(made(), WINDOWS, heads=0.5, neurons=0.75)
    attention = sliced.model.get_layer("block_1_attention")
    assert (attention.heads, attention.kv_heads) == (2, 2)
    assert attention.query.kernel.shape == attention.key.kernel.shape == (WIDTH, 16)
    assert attention.output_projection.kernel.shape == (16, WIDTH)
    assert sliced.model.get_layer("block_1_feed_open").kernel.shape == (WIDTH, 32)
    assert sliced.model.get_layer("block_1_feed_close").kernel.shape == (32, WIDTH)
    gone = 2 * (3 * (WIDTH + 1) * 16 + 16 * WIDTH + (WIDTH + 1) * 96 + 96 * WIDTH)
    assert sliced.parameters_before - sliced.parameters_after == gone
    assert sliced.parameters_after == sum(w.shape.num_elements() for w in sliced.model.weights)


def test_importance_is_what_a_gate_changes() -> None:
    """Central differences of the loss when one unit's output weights grow and shrink a little."""
    model = made(kv_heads=2)
    units = units_of(model)
    scores = importance(model, units, WINDOWS[:1].astype(np.int32))

    def loss() -> float:
        logits = np.float64(model(X[:1]))[0]
        shares = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        return float(-shares[np.arange(CONTEXT), WINDOWS[0, 1:]].mean())

    for one, score, unit in ((units[0], scores[0], 2), (units[3], scores[3], 17)):
        kernel = one.closing.kernel
        original = kernel.numpy()
        rows = np.arange(kernel.shape[0]) // one.size == unit
        change = []
        for gate in (1.05, 0.95):
            kernel.assign(np.where(rows[:, None], gate * original, original))
            change.append(loss())
        kernel.assign(original)
        assert score[unit] == pytest.approx(abs(change[0] - change[1]) / 0.1, rel=2e-2)


@pytest.mark.parametrize(
    ("kv_heads", "wanted", "kept"),
    [
        (8, 4, [4, 5, 6, 7]),
        (2, 4, [4, 5, 6, 7]),  # a whole group goes
        (2, 6, [1, 2, 3, 5, 6, 7]),  # one head of each group
        (1, 3, [5, 6, 7]),
        (2, 1, [7]),
    ],
)
def test_grouped_heads(kv_heads: int, wanted: int, kept: list[int]) -> None:
    model = keras.Sequential([keras.Input((5, 16)), CausalSelfAttention(8, 4, kv_heads=kv_heads)])
    (heads,) = units_of(model)
    assert isinstance(heads, Heads)
    np.testing.assert_array_equal(heads.chosen(np.arange(8.0), wanted), kept)
    (_, changes), *_ = heads.changes(np.array(kept))
    assert changes["heads"] % changes["kv_heads"] == 0


def test_shares_by_layer_and_the_report() -> None:
    shares = {"block_0_attention": 0.75}
    sliced = slice_decoder(made(), WINDOWS, heads=shares, neurons={"re:block_1.*": 0.5})
    counts = {name: len(stay) for name, stay in sliced.kept.items()}
    assert list(counts.values()) == [1, 128, 4, 64]
    assert sliced.report.of("block_0_attention").measures == {"heads_before": 4.0, "heads": 1.0}
    assert sliced.report.of("block_1_attention").action == "skipped"
    assert sliced.report.of("block_1_feed_close").action == "sliced"
    assert f"{sliced.parameters_after:,} of {sliced.parameters_before:,}" in str(sliced.report)


def test_it_is_compiled_and_trains() -> None:
    model = made(layers=1)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    sliced = slice_decoder(model, WINDOWS, neurons=0.9).model
    losses = sliced.fit(X, WINDOWS[:, 1:], epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_the_file_of_a_sliced_decoder_with_a_cache_for_each_layer(tmp_path: Path) -> None:
    """The layers keep different numbers of heads, so their caches have different sizes."""
    shares = {"block_0_attention": 0.75, "block_1_attention": 0.25}
    sliced = slice_decoder(made(positions="rotary"), WINDOWS, heads=shares).model
    request = {
        "context": CONTEXT, "prefill_lengths": [4], "keeps_state": False, "model_name": "sliced",
    }  # fmt: skip
    content = float_file(sliced, decoder_facts(sliced), request, tmp_path)
    session, expected = Session(content), np.asarray(sliced(X[:1]))[0]
    session.prefill(X[0, :4].tolist())
    answers = [session.decode(int(token)) for token in X[0, 4:]]
    np.testing.assert_allclose(answers, expected[4:], atol=1e-4)


def test_a_feed_forward_layer_that_others_look_into_stays() -> None:
    given = keras.Input((None,), dtype="int32")
    flow = CausalSelfAttention(2, 8)(TokenEmbedding(VOCABULARY, 16, CONTEXT)(given))
    opened = keras.layers.Dense(24, activation="relu", name="seen")(flow)
    closed = keras.layers.Dense(16)(opened)
    joined = keras.layers.Concatenate()([closed, opened])
    model = keras.Model(given, keras.layers.Dense(VOCABULARY)(joined))
    assert [one.noun for one in units_of(model)] == ["heads"]
    report = slice_decoder(model, WINDOWS).report
    assert report.of("seen").reason == "no heads or neurons of its own"


@pytest.mark.parametrize("activation", ["relu", "softmax", "sparsemax"])
def test_activations_between_the_layers(activation: str) -> None:
    """What mixes the neurons lets none of them go alone."""
    given = keras.Input((None,), dtype="int32")
    flow = CausalSelfAttention(2, 8)(TokenEmbedding(VOCABULARY, 16, CONTEXT)(given))
    opened = keras.layers.Activation(activation)(keras.layers.Dense(24)(flow))
    model = keras.Model(given, keras.layers.Dense(VOCABULARY)(opened * keras.ops.tanh(opened)))
    nouns = [one.noun for one in units_of(model)]
    assert nouns == (["heads", "neurons"] if activation == "relu" else ["heads"])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"heads": 1.0}, UsageError, "heads received 1.0; expected the share"),
        ({"neurons": -0.1}, UsageError, "neurons received -0.1"),
        ({"neurons": True}, UsageError, "neurons received True"),
        ({"heads": {"block_0_atention": 0.5}}, UnknownNameError, "block_0_attention"),
        ({"multiple": 0}, UsageError, "multiple received 0"),
        ({"windows": [[1, 2], [3]]}, InvalidDataError, "expected integers"),
        ({"windows": WINDOWS.astype(float)}, InvalidDataError, "float64 of shape"),
        ({"windows": WINDOWS[0]}, InvalidDataError, r"shape \(13,\)"),
        ({"windows": WINDOWS[:0]}, InvalidDataError, r"shape \(0, 13\)"),
        ({"windows": WINDOWS[:, :1]}, InvalidDataError, "1 tokens each; expected 2 to 13"),
        ({"windows": np.tile(WINDOWS, 2)}, InvalidDataError, "26 tokens each"),
        ({"windows": WINDOWS + 20}, InvalidDataError, "out of range: the model knows tokens 0 to"),
    ],
)
def test_hostile_input(
    small: keras.Model, options: dict[str, Any], error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        slice_decoder(small, **{"windows": WINDOWS, **options})


def test_models_that_are_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="tfgreen.merge_lora"):
        slice_decoder(with_lora(made(layers=1), 2), WINDOWS)
    classifier = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(UnsupportedModelError, match="no causal mask"):
        slice_decoder(classifier, WINDOWS)
