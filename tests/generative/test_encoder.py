"""Encoders: their attention against Keras's own, and static int8 with and without the safe mask."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import tfgreen as tg
from benchmarks.encoder_table import LENGTH, VOCABULARY, encoder, sequences
from tfgreen.errors import GateError, UnsupportedModelError, UsageError
from tfgreen.generative.network.stepping import decoder_facts


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = encoder()
    model.compile(
        keras.optimizers.Adam(3e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.fit(*sequences(4000, seed=0), batch_size=64, epochs=7, verbose=0)
    return model


def test_attention_is_what_keras_computes_with_a_padding_mask() -> None:
    keras.utils.set_random_seed(0)
    ours, keras_own = tg.EncoderSelfAttention(4, 8), keras.layers.MultiHeadAttention(4, 8)
    given, is_token = keras.random.normal((2, 7, 24)), np.ones((2, 7), np.float32)
    is_token[0, 5:] = 0
    ours(given), keras_own(given, given)
    weights = []
    for layer in (ours.query, ours.key, ours.value):
        weights += [layer.kernel.numpy().reshape(24, 4, 8), layer.bias.numpy().reshape(4, 8)]
    output = ours.output_projection
    keras_own.set_weights([*weights, output.kernel.numpy().reshape(4, 8, 24), output.bias.numpy()])
    expected = keras_own(given, given, attention_mask=is_token[:, None, :] > 0)
    np.testing.assert_allclose(ours(given, is_token), expected, atol=1e-6)
    np.testing.assert_allclose(ours(given), keras_own(given, given), atol=1e-6)


def test_static_int8_keeps_the_accuracy(trained: keras.Model) -> None:
    evaluation = sequences(300, seed=2)
    bundle = tg.export(
        trained, sequences(100, seed=1)[0], profile="mobile-int8", evaluate=evaluation
    )
    assert bundle.certificate.passed
    metric = next(check for check in bundle.certificate.checks if check.name == "metric")
    said = np.asarray(trained(evaluation[0], training=False)).argmax(axis=-1)
    accuracy = float((said == evaluation[1]).mean())
    assert accuracy >= 0.98
    assert metric.measured is not None
    assert metric.measured <= 0.01, metric.message


@pytest.mark.slow
def test_the_usual_mask_constant_fails_its_gates(trained: keras.Model) -> None:
    usual = encoder(mask_value=-1e9)
    usual.set_weights(trained.get_weights())
    evaluation = sequences(300, seed=2)
    np.testing.assert_allclose(usual(evaluation[0]), trained(evaluation[0]), atol=1e-5)
    with pytest.raises(GateError, match="SQNR"):
        tg.export(usual, sequences(100, seed=1)[0], profile="mobile-int8", evaluate=evaluation)


def test_what_stands_for_padding_changes_nothing(trained: keras.Model) -> None:
    tokens, _ = sequences(4, seed=3)
    assert (tokens == 0).any()
    table = trained.get_layer("embedding").table
    before, kept = np.asarray(trained(tokens)), table.numpy()
    changed = kept.copy()
    changed[0] += 1.0
    table.assign(changed)
    after = np.asarray(trained(tokens))
    table.assign(kept)
    np.testing.assert_array_equal(after, before)


def test_an_encoder_is_loaded_and_is_no_decoder(
    trained: keras.Model, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("encoder") / "encoder.keras"
    trained.save(path)
    tokens = sequences(3, seed=4)[0]
    np.testing.assert_array_equal(tg.load_model(path)(tokens), trained(tokens))
    every_token = tg.build_encoder(VOCABULARY, LENGTH, width=32, layers=1)
    with pytest.raises(UnsupportedModelError, match="tfgreen.export"):
        decoder_facts(every_token)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"width": 30}, "multiple of the heads"), ({"padding": 25}, "tokens 0 to 24")],
)
def test_misfits_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tg.build_encoder(VOCABULARY, LENGTH, **arguments)
    with pytest.raises(UsageError, match="sees all positions"):
        tg.EncoderSelfAttention(2, 4, reach=3)
