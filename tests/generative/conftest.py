"""A tiny trained decoder, its float file and bundles, made once a module."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest

from tfgreen.generative.decoder_bundle import DecoderBundle
from tfgreen.generative.export import make_decoder_bundle
from tfgreen.generative.network import build_decoder
from tfgreen.generative.requests import DecoderOptions
from tfgreen.generative.tokenizers import CharacterTokenizer

CONTEXT = 16


@dataclass(frozen=True)
class Trained:
    """A decoder of two layers that has learnt to count, and its text."""

    path: Path
    tokenizer: CharacterTokenizer
    text: str


def counting(numbers: range) -> str:
    return " ".join(str(number) for number in numbers) + " "


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    text = counting(range(100, 500))
    tokenizer = CharacterTokenizer.of(text)
    tokens = np.array(tokenizer.encode(text), np.int32)
    keras.utils.set_random_seed(3)
    model = build_decoder(
        tokenizer.vocabulary, CONTEXT, width=32, layers=2, heads=4, kv_heads=2, tied=False
    )
    model.compile(
        keras.optimizers.Adam(5e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    places = np.arange(len(tokens) - CONTEXT - 1)[:, None] + np.arange(CONTEXT)
    model.fit(tokens[places], tokens[places + 1], batch_size=64, epochs=4, verbose=0)
    path = tmp_path_factory.mktemp("decoder") / "counting.keras"
    model.save(path)
    return Trained(path, tokenizer, text)


@pytest.fixture(scope="session")
def float_bundle(trained: Trained) -> DecoderBundle:
    return export(trained, DecoderOptions("float32"))


@pytest.fixture(scope="session")
def narrow_bundle(trained: Trained) -> DecoderBundle:
    return export(trained, DecoderOptions("int4-block32", keeps_state=True))


def export(trained: Trained, options: DecoderOptions) -> DecoderBundle:
    return make_decoder_bundle(
        trained.path, trained.tokenizer, counting(range(500, 700)), trained.text, options
    )
