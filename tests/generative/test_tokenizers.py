"""Tokenizers: there and back, as files, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfgreen.errors import (
    InvalidDataError,
    InvalidModelError,
    MissingPathError,
    UnknownNameError,
    UsageError,
)
from tfgreen.generative.tokenizers import (
    ByteTokenizer,
    CharacterTokenizer,
    read_tokenizer,
    refuse_other_vocabulary,
    tokenizer_of,
)

TEXT = "Straße 北京 🙂"


@pytest.mark.parametrize("tokenizer", [CharacterTokenizer.of(TEXT), ByteTokenizer()])
def test_there_and_back(tokenizer: CharacterTokenizer | ByteTokenizer, tmp_path: Path) -> None:
    tokens = tokenizer.encode(TEXT)
    assert tokenizer.decode(tokens) == TEXT
    assert min(tokens) >= 0 and max(tokens) < tokenizer.vocabulary
    path = tmp_path / tokenizer.file_name
    path.write_bytes(tokenizer.to_bytes())
    assert read_tokenizer(path) == tokenizer


def test_a_file_of_hugging_face(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "b": 1, "?": 2}, "?"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "tokenizer.json"))
    read = read_tokenizer(tmp_path / "tokenizer.json")
    assert (read.vocabulary, read.encode("b a c"), read.decode([1, 0])) == (3, [1, 0, 2], "b a")
    assert tokenizer_of(read.to_bytes(), "tokenizer.json").encode("a") == [0]


def test_a_character_that_there_is_not() -> None:
    with pytest.raises(InvalidDataError, match="no character 'z'"):
        CharacterTokenizer("abc").encode("abz")


@pytest.mark.parametrize("characters", ["", "aa"])
def test_characters_stand_once(characters: str) -> None:
    with pytest.raises(UsageError, match="once"):
        CharacterTokenizer(characters)


def test_odd_files(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError):
        read_tokenizer(tmp_path / "none.json")
    with pytest.raises(InvalidModelError, match="no JSON"):
        tokenizer_of(b"{", "tokenizer.json")
    with pytest.raises(InvalidModelError, match="no JSON object"):
        tokenizer_of(b"[]", "tokenizer.json")
    with pytest.raises(UnknownNameError, match="'words'"):
        tokenizer_of(b'{"format": "tfgreen-tokenizer", "kind": "words"}', "tokenizer.json")


def test_an_empty_file_of_sentencepiece() -> None:
    pytest.importorskip("sentencepiece")
    with pytest.raises(InvalidModelError, match="empty"):
        tokenizer_of(b"", "tokenizer.spm")


def test_tables_are_padded_for_packages_alone() -> None:
    refuse_other_vocabulary(5, 5, is_exact=True)
    refuse_other_vocabulary(5, 8, is_exact=False)
    for tokens, is_exact in ((5, True), (9, False)):
        with pytest.raises(InvalidDataError, match="another vocabulary"):
            refuse_other_vocabulary(tokens, 8, is_exact=is_exact)


def test_truncation_padding_and_gaps_of_a_file(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "b": 7, "?": 2}, "?"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.enable_truncation(2)
    made.enable_padding(length=6)
    made.save(str(tmp_path / "tokenizer.json"))
    read = read_tokenizer(tmp_path / "tokenizer.json")
    assert read.encode("a b a b") == [0, 7, 0, 7]
    assert read.vocabulary == 8


def test_half_a_surrogate_pair_is_no_text() -> None:
    with pytest.raises(InvalidDataError, match="no Unicode at character 1"):
        ByteTokenizer().encode("a\udcff")
    with pytest.raises(UsageError, match="surrogate"):
        CharacterTokenizer("a\udcff")
