"""The writer of docstrings, small and hardly trained: text, training, bundle, text."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfgreen.demonstration import language_model
from tfgreen.demonstration.docstring_texts import CHARACTERS, docstring_texts
from tfgreen.demonstration.language_model import run_language_model_demo
from tfgreen.errors import OutputExistsError
from tfgreen.generative.generation import generate
from tfgreen.generative.requests import DecoderOptions


def test_texts_are_apart_and_of_known_characters() -> None:
    training, held_back = docstring_texts(60_000)
    assert set(training) | set(held_back) <= set(CHARACTERS)
    assert len(training) > 7 * len(held_back) > 7_000
    assert not set(training.split("\n\n\n")) & set(held_back.split("\n\n\n"))


@pytest.mark.slow
def test_from_fit_to_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = language_model.train_character_model
    monkeypatch.setattr(
        language_model,
        "train_character_model",
        lambda *given, **options: train(*given, **options, width=32, layers=2),
    )
    result = run_language_model_demo(
        tmp_path / "bundle", steps=30, options=DecoderOptions("float32")
    )
    assert result.bundle.certificate.passed
    assert result.bundle.facts["differing_greedy_tokens"] == 0
    again = generate(result.folder, language_model.PROMPT).finish()
    assert again.text == result.text


def test_an_existing_output_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(OutputExistsError):
        run_language_model_demo(tmp_path, force=True)
