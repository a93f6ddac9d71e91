"""A decoder from Keras to a bundle: the files, their certificate, and what is refused."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.generative.conftest import CONTEXT, Trained
from tfgreen.errors import (
    IntegrityError,
    InvalidDataError,
    InvalidModelError,
    OutputExistsError,
    UnsupportedModelError,
    UsageError,
)
from tfgreen.generative.certificate import SequenceCertificate
from tfgreen.generative.decoder_bundle import DecoderBundle
from tfgreen.generative.export import export_decoder, make_decoder_bundle
from tfgreen.generative.network.stepping import DecoderFacts
from tfgreen.generative.requests import DecoderOptions
from tfgreen.generative.schemes import layer_weights
from tfgreen.generative.session import Session
from tfgreen.generative.signatures import signature_models
from tfgreen.generative.worker import sizes
from tfgreen.inspection import inspect
from tfgreen.models.loading import load_model
from tfgreen.recheck import verify


def test_the_float_file_passes_every_check(float_bundle: DecoderBundle) -> None:
    certificate = float_bundle.certificate
    assert certificate.passed
    assert {check.status for check in certificate.checks} == {"passed"}
    assert abs(certificate.perplexity.change) < 1e-5
    assert set(certificate.kernel_sets) == {"xnnpack", "optimized", "reference"}


def test_greedy_text_is_the_keras_models_own(trained: Trained, float_bundle: DecoderBundle) -> None:
    model, session = load_model(trained.path), Session(float_bundle.content)
    tokens = trained.tokenizer.encode("108 109 ")
    expected = list(tokens)
    while len(expected) < CONTEXT:
        scores = np.asarray(model(np.array([expected], np.int32)))
        expected.append(int(scores[0, -1].argmax()))
    session.prefill(tokens[:-1])
    while len(tokens) < CONTEXT:
        tokens.append(int(session.decode(tokens[-1]).argmax()))
    assert tokens == expected


def test_signatures_share_their_weights(float_bundle: DecoderBundle) -> None:
    models = signature_models(float_bundle.content)
    assert set(models) == {"score", "decode", "prefill_8"}
    assert len(float_bundle.content) < 1.9 * 4 * float_bundle.facts["parameters"]
    assert {
        "block_0_attention_key", "block_1_feed_close", "head",
    } <= set(layer_weights(models["decode"]))  # fmt: skip


def test_four_bits_with_state_in_the_file(narrow_bundle: DecoderBundle) -> None:
    models = signature_models(narrow_bundle.content)
    decode = models["decode"]
    assert decode.input_names == ("input_pos", "tokens") or set(decode.input_names) == {
        "tokens", "input_pos",
    }  # fmt: skip
    dtypes = {
        name: decode.tensors[decode.ops[index].inputs[1]].dtype
        for name, index in layer_weights(decode).items()
    }
    assert dtypes["block_0_feed_open"] == "int4"
    by_name = {check.name: check for check in narrow_bundle.certificate.checks}
    assert by_name["cached"].status == "passed"
    assert narrow_bundle.facts["rounding"] == "compensated"


def test_a_bundle_comes_back(float_bundle: DecoderBundle, tmp_path: Path) -> None:
    folder = float_bundle.save(tmp_path / "bundle")
    read = DecoderBundle.read(folder)
    assert read.content == float_bundle.content
    assert read.tokenizer == float_bundle.tokenizer
    assert SequenceCertificate.from_json(read.certificate.to_json()) == float_bundle.certificate
    with pytest.raises(OutputExistsError):
        float_bundle.save(folder)
    float_bundle.save(folder, force=True)
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(IntegrityError, match=r"tokenizer\.json"):
        DecoderBundle.read(folder)


def test_a_bundle_is_inspected(float_bundle: DecoderBundle, tmp_path: Path) -> None:
    folder = float_bundle.save(tmp_path / "bundle")
    found = inspect(folder)
    assert found.kind == "tflite"
    with pytest.raises(InvalidModelError, match="bundle of a decoder.*tfgreen generate"):
        verify(folder)


def test_the_python_runner_writes_the_same_text(
    trained: Trained, float_bundle: DecoderBundle, tmp_path: Path
) -> None:
    folder = float_bundle.save(tmp_path / "bundle")
    command = [sys.executable, str(folder / "run.py"), "108 109 ", "8"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    session, tokens = Session(float_bundle.content), trained.tokenizer.encode("108 109 ")
    session.prefill(tokens[:-1])
    while len(tokens) < 16:
        tokens.append(int(session.decode(tokens[-1]).argmax()))
    assert printed.stdout == trained.tokenizer.decode(tokens) + "\n"


@pytest.mark.parametrize(
    ("arguments", "tokenizer", "message"),
    [
        (["108 ", "14"], None, "the cache holds 16"),
        (["", "2"], None, "Give a prompt"),
        (["108 "], None, "usage"),
        (["x", "2"], None, r"no \['x'\]"),
        (["108 ", "2"], b'{"model": {}}', "characters and bytes alone"),
    ],
)
def test_the_python_runner_refuses(
    float_bundle: DecoderBundle,
    tmp_path: Path,
    arguments: list[str],
    tokenizer: bytes | None,
    message: str,
) -> None:
    folder = float_bundle.save(tmp_path / "bundle")
    if tokenizer is not None:
        (folder / "tokenizer.json").write_bytes(tokenizer)
    command = [sys.executable, str(folder / "run.py"), *arguments]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert printed.returncode == 1
    assert re.search(message, printed.stderr) and "Traceback" not in printed.stderr


def asked(**options: Any) -> dict[str, Any]:
    """What the child decides about sizes for a model of 11 tokens and 16 positions."""
    request = {
        "model_name": "it", "tokenizer_vocabulary": None, "tokenizer_is_own": True,
        "context": None, "prefill_lengths": None, **options,
    }  # fmt: skip
    return sizes(request, DecoderFacts(11, CONTEXT, True, ()))


def test_sizes_by_default() -> None:
    assert asked() == {"context": 16, "prefill_lengths": [8]}
    assert asked(context=2)["prefill_lengths"] == [2]
    assert asked(context=12, prefill_lengths=(4, 2, 4))["prefill_lengths"] == [2, 4]


def test_another_vocabulary_is_refused() -> None:
    with pytest.raises(InvalidDataError, match=r"3 tokens and the model scores 11.*another vocab"):
        asked(tokenizer_vocabulary=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"context": CONTEXT + 1}, "positions of up to 16"),
        ({"prefill_lengths": (32,)}, "at most the context of 16"),
    ],
)
def test_sizes_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        asked(**options)


def test_rotary_positions_go_on_and_an_unknown_length_is_asked_for() -> None:
    request = {
        "model_name": "it", "tokenizer_vocabulary": None, "tokenizer_is_own": True,
        "context": 64, "prefill_lengths": (32,),
    }  # fmt: skip
    assert sizes(request, DecoderFacts(11, CONTEXT, False, ()))["context"] == 64
    with pytest.raises(UnsupportedModelError, match="Give context="):
        sizes({**request, "context": None}, DecoderFacts(11, None, False, ()))


def test_an_encoder_is_refused(tmp_path: Path) -> None:
    given = keras.Input((None,), dtype="int32")
    vectors = keras.layers.Embedding(9, 8)(given)
    seen = keras.layers.MultiHeadAttention(2, 4)(vectors, vectors)
    encoder = keras.Model(given, keras.layers.Dense(9)(seen), name="encoder")
    encoder.save(tmp_path / "encoder.keras")
    with pytest.raises(UnsupportedModelError, match="'encoder' has no causal mask"):
        export_decoder(tmp_path / "encoder.keras", evaluate=np.zeros(99, np.int32))


def test_layers_of_a_mixed_scheme_are_chosen_on_text(trained: Trained) -> None:
    with pytest.raises(UsageError, match="no calibration text"):
        export_decoder(trained.path, evaluate=np.zeros(99, np.int32), scheme="mixed-int4-int8")


def test_tokens_are_not_cast_to_others(trained: Trained) -> None:
    with pytest.raises(InvalidDataError, match="4294967297 is out of range"):
        export_decoder(trained.path, evaluate=np.full(99, 2**32 + 1))
    with pytest.raises(InvalidDataError, match="without tokens"):
        export_decoder(trained.path, evaluate=[])


def test_text_is_needed_and_a_tokenizer_for_it(trained: Trained) -> None:
    with pytest.raises(UsageError, match="no text to judge"):
        make_decoder_bundle(trained.path, None, None, None, DecoderOptions())
    with pytest.raises(UsageError, match="no tokenizer"):
        make_decoder_bundle(trained.path, None, "1 2 3", None, DecoderOptions())


def test_a_file_without_decode_is_no_decoder(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(InvalidModelError, match="no bundle of a decoder"):
        DecoderBundle.read(tmp_path / "other")
