"""Text token by token, and what is refused before the first one."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tests.generative.conftest import CONTEXT
from tfgreen.cli.main import tfgreen_command
from tfgreen.errors import InvalidDataError, InvalidModelError, MissingPathError, UsageError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.flatbuffer.packing import pack
from tfgreen.generative.decoder_bundle import DecoderBundle
from tfgreen.generative.generation import generate
from tfgreen.generative.sampling import Sampling
from tfgreen.generative.session import Session
from tfgreen.generative.tokenizers import CharacterTokenizer
from tfgreen.verification.certificate import GateResult

PROMPT = "108 109 "


def test_pieces_are_the_text(float_bundle: DecoderBundle) -> None:
    made = generate(float_bundle, PROMPT)
    assert "".join(made) == made.text
    assert len(made.tokens) == CONTEXT - len(PROMPT) + 1
    assert made.first_token_seconds is not None
    assert made.tokens_per_second is not None


def test_a_slow_reader_is_not_timed(float_bundle: DecoderBundle) -> None:
    made = generate(float_bundle, PROMPT)
    for _ in made:
        time.sleep(0.05)
    assert made.tokens_per_second is not None and made.tokens_per_second > 40


def test_a_seed_repeats_and_another_does_not(float_bundle: DecoderBundle) -> None:
    def text(seed: int) -> str:
        return generate(float_bundle, PROMPT, temperature=2.0, seed=seed).finish().text

    assert text(1) == text(1)
    assert len({text(seed) for seed in range(6)}) > 1


def test_state_in_the_file_is_state_outside(narrow_bundle: DecoderBundle) -> None:
    """Prefill in one call, in padded ones and token by token give the same scores."""
    session = Session(narrow_bundle.content)
    assert session.keeps_state
    tokens = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1]
    session.prefill(tokens[:-1])
    together = session.decode(tokens[-1])
    session.reset()
    for token in tokens[:-1]:
        session.decode(token)
    np.testing.assert_allclose(session.decode(tokens[-1]), together, atol=1e-4)


def test_stop_tokens_end_the_text(float_bundle: DecoderBundle) -> None:
    first = generate(float_bundle, PROMPT).finish().tokens[0]
    assert generate(float_bundle, PROMPT, stop=[first]).finish().tokens == []


@pytest.mark.parametrize(
    ("prompt", "options", "error", "message"),
    [
        ("108 109 " * 3, {}, InvalidDataError, "24 tokens and the cache holds 16"),
        (PROMPT, {"max_tokens": 10}, InvalidDataError, "at most 9"),
        ([3, 11], {}, InvalidDataError, "Token 11 is out of range.*0 to 10"),
        ([-1], {}, InvalidDataError, "Token -1 is out of range"),
        ("x", {}, InvalidDataError, "knows no character 'x'"),
        ("", {}, UsageError, "empty"),
        (PROMPT, {"temperature": -1.0}, UsageError, "temperature"),
        (PROMPT, {"top_p": 0.0}, UsageError, "top_p"),
        (PROMPT, {"top_k": 0}, UsageError, "top_k"),
    ],
)
def test_refused(
    float_bundle: DecoderBundle,
    prompt: Any,
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        generate(float_bundle, prompt, **options)


def test_another_tokenizer_is_refused(float_bundle: DecoderBundle) -> None:
    other = DecoderBundle(
        float_bundle.content, float_bundle.certificate, CharacterTokenizer("0123456789 abc")
    )
    with pytest.raises(InvalidDataError, match="another vocabulary"):
        generate(other, PROMPT)


def test_no_decoder_and_no_folder(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError):
        generate(tmp_path / "none", PROMPT)
    (tmp_path / "manifest.json").write_text('{"format": "tfgreen-bundle"}', encoding="utf-8")
    with pytest.raises(InvalidModelError, match="no decoder"):
        generate(tmp_path, PROMPT)


def test_probabilities() -> None:
    scores = np.log(np.array([0.1, 0.4, 0.2, 0.3]))
    np.testing.assert_allclose(Sampling(1.0).probabilities(scores), [0.1, 0.4, 0.2, 0.3])
    halves = Sampling(1.0, top_k=2).probabilities(scores)
    np.testing.assert_allclose(halves, [0, 4 / 7, 0, 3 / 7])
    squares = Sampling(0.5).probabilities(scores)
    np.testing.assert_allclose(squares, np.array([1, 16, 4, 9]) / 30)
    nucleus = Sampling(1.0, top_p=0.75).probabilities(scores)
    np.testing.assert_allclose(nucleus, np.array([0, 4, 2, 3]) / 9)


def test_a_file_whose_decode_is_not_first_is_refused(float_bundle: DecoderBundle) -> None:
    """Steps are invoked without a signature, so another subgraph would run in silence."""
    model = TfliteModel.from_bytes(float_bundle.content)
    root = model.root
    root.subgraphs = root.subgraphs[::-1]
    for signature in root.signatureDefs:
        signature.subgraphIndex = len(root.subgraphs) - 1 - signature.subgraphIndex
    with pytest.raises(InvalidModelError, match="first subgraph"):
        Session(pack(root, model.content))


def test_a_failed_certificate_is_told(float_bundle: DecoderBundle, tmp_path: Path) -> None:
    passed = float_bundle.certificate
    check = passed.checks[0].model_copy(update={"status": "failed", "message": "It is odd."})
    gates = (GateResult.of("structure", [check]), *passed.gates[1:])
    failed = passed.model_copy(update={"gates": gates, "verdict": "failed"})
    bundle = DecoderBundle(float_bundle.content, failed, float_bundle.tokenizer)
    arguments = ["generate", str(bundle.save(tmp_path / "bundle")), "--prompt", PROMPT]
    told = CliRunner().invoke(tfgreen_command, arguments)
    assert told.exit_code == 0, told.output
    assert "failed. It is odd." in told.stderr


def test_command_line(float_bundle: DecoderBundle, tmp_path: Path) -> None:
    folder = float_bundle.save(tmp_path / "bundle")
    runner = CliRunner()
    plain = runner.invoke(tfgreen_command, ["generate", str(folder), "--prompt", PROMPT])
    assert plain.exit_code == 0, plain.output
    assert plain.stdout == PROMPT + generate(float_bundle, PROMPT).finish().text + "\n"
    told = runner.invoke(tfgreen_command, ["generate", str(folder), "--prompt", PROMPT, "--json"])
    assert json.loads(told.stdout)["prompt_tokens"] == len(PROMPT)
    long = ["generate", str(folder), "--prompt", PROMPT, "--max-tokens", "99"]
    refused = runner.invoke(tfgreen_command, long)
    assert refused.exit_code == 1
    assert "the cache" in refused.stderr


class Words:
    """A tokenizer as packages make them: no space before the first word, a table with a gap."""

    file_name = "tokenizer.json"
    vocabulary = 10

    def encode(self, text: str) -> list[int]:
        return [int(word) for word in text.split()]

    def decode(self, tokens: Any) -> str:
        assert max(tokens, default=0) < self.vocabulary, "the table's padding has no text"
        return " ".join(str(token) for token in tokens)

    def to_bytes(self) -> bytes:
        return b"{}"


def test_words_go_on_after_a_space_and_padding_is_not_drawn(float_bundle: DecoderBundle) -> None:
    bundle = DecoderBundle(float_bundle.content, float_bundle.certificate, Words())
    made = generate(bundle, "3 4", temperature=50.0, seed=0)
    pieces = list(made)
    assert "".join(pieces) == made.text == "".join(f" {token}" for token in made.tokens)


def test_half_a_character_at_the_end_is_told(float_bundle: DecoderBundle) -> None:
    class Halves(Words):
        def decode(self, tokens: Any) -> str:
            return "e\N{COMBINING ACUTE ACCENT}" * (len(tokens) // 2) + "\ufffd" * (len(tokens) % 2)

    bundle = DecoderBundle(float_bundle.content, float_bundle.certificate, Halves())
    made = generate(bundle, "3 4", max_tokens=3)
    assert "".join(made) == made.text == "e\N{COMBINING ACUTE ACCENT}\ufffd"


@pytest.mark.parametrize(
    ("prompt", "options", "message"),
    [
        ([2.7], {}, "prompt=.*whole numbers"),
        ([[1, 2]], {}, "prompt=.*flat list"),
        (PROMPT, {"stop": "\n"}, "stop=.*whole numbers"),
        (PROMPT, {"seed": -1}, "seed=-1"),
        (PROMPT, {"threads": 0}, "threads=0"),
    ],
)
def test_what_is_no_token_is_refused(
    float_bundle: DecoderBundle, prompt: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        generate(float_bundle, prompt, **options)
