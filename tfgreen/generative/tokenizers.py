"""From text to tokens and back: two tokenizers of our own, and files of two others.

What a bundle carries is a file, `tokenizer.json` (ours, or one of the Hugging Face `tokenizers`
package) or `tokenizer.spm` (SentencePiece).
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from tfgreen.errors import (
    InvalidDataError,
    InvalidModelError,
    MissingDependencyError,
    MissingPathError,
    UnknownNameError,
    UsageError,
)

JSON_FILE, SENTENCEPIECE_FILE = "tokenizer.json", "tokenizer.spm"
TOKENIZER_FILES = (JSON_FILE, SENTENCEPIECE_FILE)

_FORMAT = "tfgreen-tokenizer"
_KINDS = ("bytes", "characters")
_EXTRA = "pip install 'tfgreen[generative]'"


class Tokenizer(Protocol):
    """Text to token ids and back.

    file_name: what its file is called in a bundle. vocabulary: ids run from 0 to vocabulary - 1.
    """

    file_name: str

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""

    def encode(self, text: str) -> list[int]:
        """Token ids of a text."""

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids."""

    def to_bytes(self) -> bytes:
        """The file that `read_tokenizer` reads back."""


@dataclass(frozen=True)
class CharacterTokenizer:
    """A token for each of some characters, in their order.

    >>> tokenizer = CharacterTokenizer.of("banana")
    >>> tokenizer.characters, tokenizer.encode("nab"), tokenizer.decode([2, 0])
    ('abn', [2, 0, 1], 'na')
    """

    characters: str
    file_name = JSON_FILE

    def __post_init__(self) -> None:
        if any("\ud800" <= letter <= "\udfff" for letter in self.characters):
            raise UsageError(
                "CharacterTokenizer received half a surrogate pair, which is no character. Read "
                "the text as UTF-8."
            )
        if not self.characters or len(set(self.characters)) != len(self.characters):
            raise UsageError(
                "CharacterTokenizer received no characters, or one twice; expected each once. "
                "CharacterTokenizer.of(text) takes those of a text."
            )

    @classmethod
    def of(cls, text: str) -> CharacterTokenizer:
        """The tokenizer of a text's own characters, sorted."""
        return cls("".join(sorted(set(text))))

    @property
    def vocabulary(self) -> int:
        """How many characters there are."""
        return len(self.characters)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text; InvalidDataError for a character that has none."""
        try:
            return [self._ids[letter] for letter in text]
        except KeyError as error:
            raise InvalidDataError(
                f"The tokenizer knows no character {error.args[0]!r}. Leave it out of the text, "
                f"which may hold these {self.vocabulary}: {self.characters!r}."
            ) from None

    def decode(self, tokens: Sequence[int]) -> str:
        """The characters of token ids."""
        return "".join(self.characters[token] for token in tokens)

    def to_bytes(self) -> bytes:
        """Its JSON file."""
        return _own_file("characters", {"characters": self.characters})

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {letter: number for number, letter in enumerate(self.characters)}


@dataclass(frozen=True)
class ByteTokenizer:
    """The 256 bytes of UTF-8; any text has tokens.

    >>> ByteTokenizer().encode("é"), ByteTokenizer().decode([195, 169])
    ([195, 169], 'é')
    """

    vocabulary = 256
    file_name = JSON_FILE

    def encode(self, text: str) -> list[int]:
        """The bytes of a text; InvalidDataError for half a surrogate pair, which has none."""
        try:
            return list(text.encode("utf-8"))
        except UnicodeEncodeError as error:
            raise InvalidDataError(
                f"The text is no Unicode at character {error.start}: {error.reason}. Read it as "
                "UTF-8."
            ) from error

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of bytes; what is no UTF-8 becomes U+FFFD."""
        return bytes(tokens).decode("utf-8", "replace")

    def to_bytes(self) -> bytes:
        """Its JSON file."""
        return _own_file("bytes", {})


class HuggingFaceTokenizer:
    """A `tokenizer.json` of the Hugging Face `tokenizers` package.

    What the file says of truncation and padding is left out: a text has all of its tokens, and no
    others.
    """

    file_name = JSON_FILE

    def __init__(self, content: bytes) -> None:
        try:
            tokenizers: Any = importlib.import_module("tokenizers")
        except ImportError as error:
            raise _missing("tokenizers") from error
        self._content = content
        try:
            self._tokenizer: Any = tokenizers.Tokenizer.from_str(content.decode("utf-8"))
        except Exception as error:
            raise InvalidModelError(f"The tokenizer file cannot be read: {error}.") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    @cached_property
    def vocabulary(self) -> int:
        """One more than the highest id, the added tokens included; ids may have gaps."""
        return max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, with the special ones that the file adds."""
        return list(self._tokenizer.encode(text).ids)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids, without special ones."""
        return str(self._tokenizer.decode(list(tokens)))

    def to_bytes(self) -> bytes:
        """The file as it was given."""
        return self._content


class SentencePieceTokenizer:
    """A SentencePiece model (`.spm`, `.model`)."""

    file_name = SENTENCEPIECE_FILE

    def __init__(self, content: bytes) -> None:
        try:
            sentencepiece: Any = importlib.import_module("sentencepiece")
        except ImportError as error:
            raise _missing("sentencepiece") from error
        if not content:
            raise InvalidModelError("The tokenizer file is empty.")
        self._content = content
        try:
            self._processor: Any = sentencepiece.SentencePieceProcessor(model_proto=content)
        except RuntimeError as error:
            raise InvalidModelError(
                f"The tokenizer file is no SentencePiece model: {error}."
            ) from error

    @property
    def vocabulary(self) -> int:
        """How many pieces there are."""
        return int(self._processor.get_piece_size())

    def encode(self, text: str) -> list[int]:
        """Token ids of a text."""
        return list(self._processor.encode(text))

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids."""
        return str(self._processor.decode(list(tokens)))

    def to_bytes(self) -> bytes:
        """The file as it was given."""
        return self._content


def read_tokenizer(source: Tokenizer | str | Path) -> Tokenizer:
    """The tokenizer of a file; a tokenizer is handed back as it is.

    Args:
        source: a tokenizer, or the path of a `.json`, `.spm` or `.model` file.

    Raises:
        MissingPathError: there is no such file.
        InvalidModelError: damaged, or of no kind that is known.
        MissingDependencyError: its package is not installed.
    """
    if not isinstance(source, str | Path):
        return source
    path = Path(source)
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise MissingPathError(f"There is no tokenizer file {path}.") from error
    except OSError as error:
        raise InvalidModelError(f"{path} cannot be read: {error.strerror}.") from error
    return tokenizer_of(content, path.name)


def tokenizer_of(content: bytes, name: str) -> Tokenizer:
    """The tokenizer of a file's content; `name` tells JSON from SentencePiece."""
    if not name.endswith(".json"):
        return SentencePieceTokenizer(content)
    try:
        document = json.loads(content)
    except ValueError as error:
        raise InvalidModelError(f"The tokenizer file {name} is no JSON: {error}.") from error
    if not isinstance(document, dict):
        raise InvalidModelError(f"The tokenizer file {name} holds no JSON object.")
    if document.get("format") != _FORMAT:
        return HuggingFaceTokenizer(content)
    kind = str(document.get("kind"))
    if kind == "bytes":
        return ByteTokenizer()
    if kind != "characters" or not isinstance(document.get("characters"), str):
        raise UnknownNameError("kind of tokenizer", kind, _KINDS)
    return CharacterTokenizer(document["characters"])


def is_own(tokenizer: Tokenizer) -> bool:
    """Whether it is one of ours, which has exactly as many tokens as the model has scores."""
    return isinstance(tokenizer, CharacterTokenizer | ByteTokenizer)


def refuse_other_vocabulary(tokens: int, vocabulary: int, *, is_exact: bool) -> None:
    """Raise InvalidDataError for a tokenizer of `tokens` that cannot be this model's.

    is_exact: false for one of a package, which may have fewer tokens than the model has scores,
    since tables are padded.
    """
    if tokens == vocabulary or (not is_exact and tokens < vocabulary):
        return
    raise InvalidDataError(
        f"The tokenizer has {tokens:,} tokens and the model scores {vocabulary:,}: it is another "
        "vocabulary. Give the tokenizer that the model was trained with."
    )


def _own_file(kind: str, facts: dict[str, Any]) -> bytes:
    document = {"format": _FORMAT, "kind": kind, **facts}
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode()


def _missing(package: str) -> MissingDependencyError:
    return MissingDependencyError(
        f"This tokenizer needs {package}, which is not installed: {_EXTRA}"
    )
