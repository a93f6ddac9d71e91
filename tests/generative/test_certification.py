"""A certificate fails what is wrong: NaN, other weights, an odd size, another scheme."""

from __future__ import annotations

import numpy as np
import pytest

from tests.generative.conftest import CONTEXT, Trained, counting
from tfgreen.errors import InvalidDataError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.flatbuffer.packing import pack
from tfgreen.flatbuffer.reading import text
from tfgreen.flatbuffer.schema import load_schema
from tfgreen.generative import structure
from tfgreen.generative.certificate import SequenceCertificate
from tfgreen.generative.certification import FloatAnswers, certify
from tfgreen.generative.decoder_bundle import DecoderBundle
from tfgreen.generative.judging import answers_of
from tfgreen.generative.layout import SCORE
from tfgreen.generative.perplexity import perplexity_change, text_windows
from tfgreen.generative.schemes import layer_weights, quantized
from tfgreen.generative.signatures import buffer_of, signature_models, with_weights


@pytest.fixture(scope="module")
def windows(trained: Trained) -> np.ndarray:
    tokens = np.array(trained.tokenizer.encode(counting(range(500, 560))), np.int32)
    return text_windows(tokens, CONTEXT, 8)


@pytest.fixture(scope="module")
def model(float_bundle: DecoderBundle, windows: np.ndarray) -> FloatAnswers:
    told = answers_of(float_bundle.content, "xnnpack", windows, 4, lambda *_: None)
    return FloatAnswers(told["losses"], told["greedy"], float_bundle.facts["parameters"], 0)


def with_layer(content: bytes, name: str, value: float) -> bytes:
    """The file with one weight of a layer set to a value, in all signatures."""
    score = signature_models(content)[SCORE]
    tensor = score.ops[layer_weights(score)[name]].inputs[1]
    weights = score.constant(tensor).copy()
    weights[0] = value
    return with_weights(content, {buffer_of(score, tensor): weights.view(np.uint8).ravel()}, {})


def with_layer_in(content: bytes, signature: str, name: str, factor: float) -> bytes:
    """The file with a layer of one signature alone multiplied."""
    model = signature_models(content)[signature]
    tensor = model.ops[layer_weights(model)[name]].inputs[1]
    root = TfliteModel.from_bytes(content).root
    places = {text(one.signatureKey): one.subgraphIndex for one in root.signatureDefs}
    weights = (factor * model.constant(tensor)).astype(np.float32)
    root.buffers = [*root.buffers, load_schema().BufferT(data=weights.view(np.uint8).ravel())]
    root.subgraphs[places[signature]].tensors[tensor].buffer = len(root.buffers) - 1
    return pack(root, content)


def failed(certificate: SequenceCertificate) -> set[str]:
    return {check.name for check in certificate.failed_checks}


def test_nan_is_refused(
    float_bundle: DecoderBundle, windows: np.ndarray, model: FloatAnswers
) -> None:
    content = with_layer(float_bundle.content, "head", np.nan)
    certificate = certify(content, "float32", windows, model)
    assert {"finite", "perplexity"} <= failed(certificate)
    assert SequenceCertificate.from_json(certificate.to_json()) == certificate


def test_other_weights_and_an_odd_size_are_refused(
    float_bundle: DecoderBundle, windows: np.ndarray, model: FloatAnswers
) -> None:
    content = with_layer(float_bundle.content, "block_0_feed_close", 3.0)
    huge = FloatAnswers(model.losses, model.greedy, 10 * model.parameters, 3)
    assert failed(certify(content, "float32", windows, huge)) == {
        "file-bytes", "perplexity", "as-the-model",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("signature", "layer", "factor", "checks"),
    [
        ("decode", "head", 2.0, {"cached", "prefill"}),  # the same greedy tokens
        ("prefill_8", "block_0_attention_key", -1.0, {"prefill"}),
    ],
)
def test_signatures_that_disagree_are_refused(
    float_bundle: DecoderBundle,
    windows: np.ndarray,
    model: FloatAnswers,
    signature: str,
    layer: str,
    factor: float,
    checks: set[str],
) -> None:
    content = with_layer_in(float_bundle.content, signature, layer, factor)
    assert checks <= failed(certify(content, "float32", windows, model))


def test_a_float_file_that_does_better_is_another_model(
    float_bundle: DecoderBundle, windows: np.ndarray, model: FloatAnswers
) -> None:
    worse = FloatAnswers(model.losses + 0.01, model.greedy, model.parameters, 0)
    assert failed(certify(float_bundle.content, "float32", windows, worse)) == {"perplexity"}


def test_scores_beyond_reason_have_a_certificate(
    float_bundle: DecoderBundle, windows: np.ndarray, model: FloatAnswers
) -> None:
    certificate = certify(with_layer(float_bundle.content, "head", 1e6), "float32", windows, model)
    assert "perplexity" in failed(certificate)
    assert SequenceCertificate.from_json(certificate.to_json()) == certificate


def test_eight_bits_do_not_pass_for_four(float_bundle: DecoderBundle) -> None:
    content = quantized(float_bundle.content, "dynamic-int8")
    told = structure.checks(content, "int4-block32", float_bundle.facts["parameters"])
    assert [check.status for check in told if check.name == "weights"] == ["failed"]


def test_weights_of_another_scheme_are_refused(
    float_bundle: DecoderBundle, windows: np.ndarray, model: FloatAnswers
) -> None:
    certificate = certify(float_bundle.content, "dynamic-int8", windows, model)
    assert "weights" in failed(certificate)


def test_the_interval_holds_the_change() -> None:
    random = np.random.default_rng(0)
    plain = random.gamma(2.0, size=(40, 16))
    change = perplexity_change(plain, plain + 0.01 + 0.05 * random.normal(size=plain.shape))
    assert change.low < np.expm1(0.01) < change.high
    assert change.high - change.low < 0.02


def test_windows_need_text() -> None:
    given = np.arange(33)
    found = text_windows(given, 16, 9)
    np.testing.assert_array_equal(found[:, -1], [16, 32])
    with pytest.raises(InvalidDataError, match="33 tokens"):
        text_windows(given[:-1], 16, 9)


def test_a_damaged_certificate() -> None:
    with pytest.raises(InvalidDataError, match="no certificate of a tfgreen decoder"):
        SequenceCertificate.from_json("{}")
