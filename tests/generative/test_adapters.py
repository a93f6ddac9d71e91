"""Low-rank adapters on their way into files: an exported decoder computes what Keras does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import tfgreen as tg
from tfgreen.generative.network import build_decoder
from tfgreen.generative.network.exporting import float_file
from tfgreen.generative.network.kerashub import taken_over
from tfgreen.generative.network.stepping import decoder_facts
from tfgreen.generative.network.taking_over import load_decoder, save_decoder
from tfgreen.generative.session import Session
from tfgreen.models.adapters import has_adapters

VOCABULARY, CONTEXT = 29, 12
X = np.random.default_rng(0).integers(0, VOCABULARY, (1, CONTEXT)).astype(np.int32)


def stirred(model: Any) -> Any:
    """Adapters with values, as if trained."""
    random = np.random.default_rng(2)
    for variable in model.variables:
        if "lora" in variable.name:
            variable.assign(random.normal(0, 0.2, variable.shape))
    return model


def test_an_exported_file_computes_what_keras_does_with_adapters(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    model = build_decoder(VOCABULARY, CONTEXT, width=32, layers=1, heads=4, tied=False)
    tuned = stirred(tg.with_lora(model, rank=2))
    loaded = load_decoder(str(save_decoder(tuned, tmp_path)), None, allow_unsafe=False)
    assert not has_adapters(loaded)
    assert loaded.count_params() == model.count_params()
    request = {
        "context": CONTEXT, "prefill_lengths": [4], "keeps_state": False, "model_name": "tuned",
    }  # fmt: skip
    content = float_file(loaded, decoder_facts(loaded), request, tmp_path / "graph")
    expected = np.asarray(tuned(X))[0]
    np.testing.assert_allclose(Session(content).score(X[0]), expected, atol=1e-4)
    assert np.abs(expected - np.asarray(model(X))[0]).max() > 0.1


def test_adapters_that_kerashub_put_in_come_over() -> None:
    models = pytest.importorskip("keras_hub.models")
    keras.utils.set_random_seed(0)
    backbone = models.GPT2Backbone(VOCABULARY, 1, 4, 32, 64, max_sequence_length=CONTEXT)
    model = models.GPT2CausalLM(backbone)
    plain = np.asarray(taken_over(model)(X))
    model.backbone.enable_lora(2)
    made = taken_over(stirred(model))
    given = {"token_ids": X, "padding_mask": np.ones_like(X)}
    np.testing.assert_allclose(made(X), model(given), atol=1e-4)
    assert not has_adapters(made)
    assert np.abs(np.asarray(made(X)) - plain).max() > 1e-3


def test_a_kerashub_decoder_is_sliced() -> None:
    models = pytest.importorskip("keras_hub.models")
    keras.utils.set_random_seed(0)
    model = models.Llama3CausalLM(models.Llama3Backbone(VOCABULARY, 1, 4, 32, 64, 2))
    windows = np.random.default_rng(0).integers(0, VOCABULARY, (2, 9))
    sliced = tg.slice_decoder(model, windows, heads=0.5, neurons=0.5)
    assert [len(stay) for stay in sliced.kept.values()] == [2, 32]
    assert sliced.model(X).shape == (1, CONTEXT, VOCABULARY)
