"""Rounding that keeps a layer's answer, against rounding to nearest."""

from __future__ import annotations

import numpy as np
import pytest

from tests.generative.conftest import CONTEXT, Trained
from tfgreen.generative.compensation import Moments, best_scales, compensated, rounded
from tfgreen.generative.decoder_bundle import DecoderBundle
from tfgreen.generative.layout import SCORE
from tfgreen.generative.perplexity import text_windows
from tfgreen.generative.schemes import layer_weights, quantized
from tfgreen.generative.sensitivity import measure_sensitivity
from tfgreen.generative.session import Session
from tfgreen.generative.signatures import buffer_of, signature_models, with_weights

WIDTH, OUTPUTS, BLOCK = 64, 24, 32


def correlated_rows() -> np.ndarray:
    random = np.random.default_rng(0)
    return random.normal(size=(500, 8)) @ random.normal(size=(8, WIDTH)) + 0.1 * random.normal(
        size=(500, WIDTH)
    )


@pytest.mark.parametrize("block", [WIDTH, BLOCK])
def test_the_answer_is_nearer_than_by_rounding_to_nearest(block: int) -> None:
    rows, weights = correlated_rows(), np.random.default_rng(1).normal(size=(WIDTH, OUTPUTS))
    moments = rows.T @ rows
    scales = np.repeat(best_scales(weights, np.diagonal(moments), block), block, axis=0)
    nearest = np.clip(np.rint(weights / scales), -7, 7) * scales
    found = rounded(weights, moments, scales)
    assert np.array_equal(found, np.rint(found)) and np.abs(found).max() <= 7

    def error(approximate: np.ndarray) -> float:
        return float(((rows @ (weights - approximate)) ** 2).mean())

    assert error(found * scales) < 0.5 * error(nearest)


def test_weights_that_are_steps_already_stay() -> None:
    integers = np.random.default_rng(2).integers(-7, 8, (WIDTH, OUTPUTS)).astype(float)
    integers[0] = 7
    scales = np.full((WIDTH, OUTPUTS), 0.25)
    rows = correlated_rows()
    np.testing.assert_array_equal(rounded(integers * 0.25, rows.T @ rows, scales), integers)
    found = best_scales(integers * 0.25, np.ones(WIDTH), WIDTH)
    np.testing.assert_allclose(found, 0.25)


def test_the_target_makes_good_for_changed_inputs() -> None:
    """Inputs that the network before scaled by .9 want weights divided by .9."""
    rows, weights = np.random.default_rng(3).normal(size=(900, 8)), np.eye(8)
    changed = 0.9 * rows
    target = Moments(changed.T @ changed, changed.T @ rows).target(weights)
    np.testing.assert_allclose(target, weights / 0.9, atol=0.02)


def test_a_whole_file_gets_better(trained: Trained, float_bundle: DecoderBundle) -> None:
    tokens = np.array(trained.tokenizer.encode(trained.text), np.int32)
    windows = text_windows(tokens, CONTEXT, 24)
    nearest = quantized(float_bundle.content, "int4")
    better = compensated(nearest, float_bundle.content, windows[:, :-1])
    assert len(better) == len(nearest)

    def scores(content: bytes) -> np.ndarray:
        session = Session(content)
        return np.stack([session.score(window[:-1]) for window in windows])

    plain = scores(float_bundle.content)
    errors = [((scores(content) - plain) ** 2).mean() for content in (better, nearest)]
    assert errors[0] < 0.6 * errors[1]


def test_every_layer_has_its_sensitivity(trained: Trained, float_bundle: DecoderBundle) -> None:
    tokens = np.array(trained.tokenizer.encode(trained.text), np.int32)
    table = measure_sensitivity(float_bundle.content, text_windows(tokens, CONTEXT, 6))
    layers = layer_weights(signature_models(float_bundle.content)[SCORE])
    assert [one.layer for one in table] == list(layers)
    assert max(one.loss_increase for one in table) > 1e-4


def test_rows_of_zeros_stay_zeros_in_blocks(trained: Trained, float_bundle: DecoderBundle) -> None:
    score = signature_models(float_bundle.content)[SCORE]
    tensor = score.ops[layer_weights(score)["block_0_feed_open"]].inputs[1]
    weights = score.constant(tensor).copy()
    weights[:8] = 0
    changed = {buffer_of(score, tensor): weights.view(np.uint8).ravel()}
    zeros = with_weights(float_bundle.content, changed, {})
    tokens = np.array(trained.tokenizer.encode(trained.text), np.int32)
    windows = text_windows(tokens, CONTEXT, 6)[:, :-1]
    content = compensated(quantized(zeros, "int4-block32"), zeros, windows)
    scores, plain = (Session(one).score(windows[0]) for one in (content, zeros))
    assert np.abs(scores - plain).max() < 0.2 * np.abs(plain).max()
