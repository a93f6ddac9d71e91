"""KerasHub's causal language models come over with equal scores, or are refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tfgreen.errors import UnsupportedModelError
from tfgreen.generative.network.kerashub import _refuse_difference, taken_over
from tfgreen.generative.network.stepping import decoder_facts

models = pytest.importorskip("keras_hub.models")

VOCABULARY = 64
GEMMA_2 = {
    "query_head_dim_normalize": False,
    "use_post_ffw_norm": True,
    "use_post_attention_norm": True,
    "attention_logit_soft_cap": 50,
    "final_logit_soft_cap": 30,
    "use_sliding_window_attention": True,
    "sliding_window_size": 4,
}
LLAMA_3 = {
    "rope_max_wavelength": 500_000,
    "rope_frequency_adjustment_factor": 8.0,
    "rope_low_freq_factor": 1.0,
    "rope_high_freq_factor": 4.0,
    "rope_pretraining_sequence_length": 16,
}


def llama(**options: Any) -> Any:
    return models.Llama3CausalLM(models.Llama3Backbone(VOCABULARY, 2, 4, 32, 64, 2, **options))


def gemma(**options: Any) -> Any:
    return models.GemmaCausalLM(models.GemmaBackbone(VOCABULARY, 2, 4, 2, 32, 128, 8, **options))


def gemma3() -> Any:
    backbone = models.Gemma3Backbone(
        VOCABULARY, 64, 7, 4, 1, 32, 64, 8, use_post_ffw_norm=True, use_post_attention_norm=True,
        use_sliding_window_attention=True, sliding_window_size=4,
    )  # fmt: skip
    return models.Gemma3CausalLM(preprocessor=None, backbone=backbone)


def gpt2() -> Any:
    backbone = models.GPT2Backbone(VOCABULARY, 2, 4, 32, 64, max_sequence_length=32)
    return models.GPT2CausalLM(backbone)


@pytest.mark.parametrize(
    "build",
    [
        gpt2,
        lambda: llama(**LLAMA_3),
        lambda: llama(tie_word_embeddings=True, rope_position_scaling_factor=2.0),
        gemma,
        lambda: gemma(**GEMMA_2),
        gemma3,
    ],
    ids=["gpt2", "llama3", "llama-tied", "gemma", "gemma2", "gemma3"],
)
def test_scores_are_equal(build: Callable[[], Any]) -> None:
    keras.utils.set_random_seed(0)
    model = build()
    for weight in model.weights:  # away from zeros and ones, where a mistake would not show
        if weight.dtype == "float32":
            weight.assign(weight + 0.1 * keras.random.normal(weight.shape))
    made = taken_over(model)
    tokens = np.random.default_rng(1).integers(0, VOCABULARY, (1, 20)).astype(np.int32)
    given = {"token_ids": tokens, "padding_mask": np.ones_like(tokens)}
    expected = np.asarray(model(given))
    np.testing.assert_allclose(made(tokens), expected, atol=2e-5 * np.abs(expected).max())
    assert made.count_params() == model.count_params()
    assert decoder_facts(made).vocabulary == VOCABULARY


def test_a_context_shorter_than_the_comparison() -> None:
    backbone = models.GPT2Backbone(VOCABULARY, 1, 2, 16, 32, max_sequence_length=8)
    assert decoder_facts(taken_over(models.GPT2CausalLM(backbone))).context == 8


def test_an_option_that_shows_after_many_tokens_is_found() -> None:
    """A window that is too long by one differs from the thirtieth token on."""
    model = gemma(**(GEMMA_2 | {"sliding_window_size": 30}))
    for weight in model.weights:
        if weight.dtype == "float32":
            weight.assign(weight + 0.1 * keras.random.normal(weight.shape, seed=1))
    made = taken_over(model)
    for block in model.backbone.transformer_layers:
        block.attention.sliding_window_size = 29
    with pytest.raises(UnsupportedModelError, match="no counterpart"):
        _refuse_difference(model, made)


def test_an_encoder_is_refused_by_name() -> None:
    backbone = models.BertBackbone(VOCABULARY, 1, 2, 16, 32, max_sequence_length=16)
    bert = models.BertTextClassifier(backbone, 2, name="reviews")
    with pytest.raises(UnsupportedModelError, match="'reviews' is a BertTextClassifier.*encoder"):
        taken_over(bert)


def test_another_family_is_refused_by_name() -> None:
    opt = models.OPTCausalLM(models.OPTBackbone(VOCABULARY, 1, 2, 16, 32, max_sequence_length=16))
    with pytest.raises(UnsupportedModelError, match="OPTCausalLM.*shifted.*GPT2CausalLM"):
        taken_over(opt)
