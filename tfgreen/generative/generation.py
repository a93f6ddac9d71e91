"""`generate`: text from an exported decoder, token by token."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from tfgreen.errors import InvalidDataError, KernelSetError, MissingPathError, UsageError
from tfgreen.generative.decoder_bundle import DecoderBundle
from tfgreen.generative.sampling import Sampling
from tfgreen.generative.session import Session, refuse_tokens
from tfgreen.generative.tokenizers import Tokenizer, is_own, refuse_other_vocabulary

_UNFINISHED = "\ufffd"


class Generation:
    """Text in the making: iterate over it, piece by piece; `text` is what there is so far.

    Attributes:
        tokens: ids generated so far.
        prompt_tokens: how many the prompt had.
        first_token_seconds: from the start to the first token; None before.
    """

    def __init__(
        self,
        session: Session,
        tokenizer: Tokenizer | None,
        prompt: Sequence[int],
        most: int,
        sampling: Sampling,
        seed: int | None,
        stop: Collection[int],
    ) -> None:
        self.tokens: list[int] = []
        self.prompt_tokens = len(prompt)
        self.first_token_seconds: float | None = None
        self._tokenizer, self._shown = tokenizer, ""
        self._prompt = list(prompt)
        self._prompt_text = "" if tokenizer is None else tokenizer.decode(self._prompt)
        self._later_seconds = 0.0
        self._pieces = self._run(session, self._prompt, most, sampling, seed, stop)

    def __iter__(self) -> Iterator[str]:
        return self._pieces

    @property
    def text(self) -> str:
        """What was generated so far; runs nothing."""
        return "" if self._tokenizer is None else self._decoded(self._tokenizer)

    @property
    def tokens_per_second(self) -> float | None:
        """Speed after the first token; None before there are two."""
        count = len(self.tokens) - 1
        return count / self._later_seconds if count > 0 and self._later_seconds > 0 else None

    def finish(self) -> Generation:
        """Generate the rest; returns itself."""
        for _ in self._pieces:
            pass
        return self

    def _run(
        self,
        session: Session,
        prompt: list[int],
        most: int,
        sampling: Sampling,
        seed: int | None,
        stop: Collection[int],
    ) -> Iterator[str]:
        random = np.random.default_rng(seed)
        began = time.perf_counter()
        session.reset()
        session.prefill(prompt[:-1])
        last = prompt[-1]
        # Tables of packages' tokenizers are padded; what has no text is not drawn.
        known = None if self._tokenizer is None else self._tokenizer.vocabulary
        while len(self.tokens) < most:
            scores = session.decode(last)[:known]
            if not np.isfinite(scores).all():
                raise KernelSetError(
                    "The file gives scores that are not finite (NaN or infinite). Export it again "
                    "and read its certificate."
                )
            last = sampling.draw(scores, random)
            if last in stop:
                break
            self.tokens.append(last)
            piece = self._piece()
            self._note(time.perf_counter() - began)
            if piece:
                yield piece
            began = time.perf_counter()  # what the reader does with a piece is no part of it
        if rest := self.text[len(self._shown) :]:
            yield rest

    def _note(self, seconds: float) -> None:
        if self.first_token_seconds is None:
            self.first_token_seconds = seconds
        else:
            self._later_seconds += seconds

    def _piece(self) -> str:
        """What the last token adds; nothing while a character is half there."""
        if self._tokenizer is None:
            return f"{self.tokens[-1]} "
        text = self._decoded(self._tokenizer)
        if text.endswith(_UNFINISHED):
            return ""
        piece, self._shown = text[len(self._shown) :], text
        return piece

    def _decoded(self, tokenizer: Tokenizer) -> str:
        """What the tokens add to the prompt's text.

        Alone they would lose the space before the first word, which many tokenizers leave out at
        the beginning of a text.
        """
        whole = tokenizer.decode([*self._prompt, *self.tokens])
        if whole.startswith(self._prompt_text):
            return whole[len(self._prompt_text) :]
        return tokenizer.decode(self.tokens)


def generate(
    bundle: DecoderBundle | str | Path,
    prompt: str | Sequence[int],
    *,
    max_tokens: int | None = None,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    stop: Collection[int] = (),
    threads: int = 1,
) -> Generation:
    """Continue a prompt with an exported decoder; the text streams as it is made.

    Args:
        bundle: what `export_decoder` returned, or the folder that it was saved in.
        prompt: a text, or tokens.
        max_tokens: most tokens to generate. Default: until the cache is full.
        temperature, top_k, top_p: see `Sampling`; by default the likeliest token is taken.
        seed: the same seed gives the same text; None draws anew each time.
        stop: tokens that end the text.
        threads: of LiteRT.

    Returns:
        A Generation: iterate over it for pieces of text; it tells tokens, time to the first token
        and tokens a second.

    Raises:
        InvalidModelError: no decoder (an encoder, a classifier).
        InvalidDataError: a prompt that the cache cannot hold, or tokens out of range.
        UsageError: a text for a bundle without a tokenizer, an empty prompt, a prompt or `stop` of
            other things than tokens, odd numbers.
    """
    if not isinstance(bundle, DecoderBundle):
        bundle = _read(bundle)
    sampling = Sampling(temperature, top_k, top_p)
    if threads < 1:
        raise UsageError(f"Received threads={threads}; expected 1 or more.")
    session = Session(bundle.content, threads=threads)
    tokenizer = bundle.tokenizer
    if tokenizer is not None:
        own = is_own(tokenizer)
        refuse_other_vocabulary(tokenizer.vocabulary, session.vocabulary, is_exact=own)
    tokens = _tokens(prompt, tokenizer)
    refuse_tokens(tokens, session.vocabulary)
    if seed is not None and seed < 0:
        raise UsageError(f"Received seed={seed}; expected 0 or more, or None.")
    last = _integers(list(stop), "stop")
    refuse_tokens(last, session.vocabulary)
    most = _room(len(tokens), session.context, max_tokens)
    return Generation(session, tokenizer, tokens, most, sampling, seed, frozenset(last))


def _read(path: str | Path) -> DecoderBundle:
    if not Path(path).exists():
        raise MissingPathError(f"There is no bundle folder {path}.")
    return DecoderBundle.read(path)


def _tokens(prompt: str | Sequence[int], tokenizer: Tokenizer | None) -> list[int]:
    if isinstance(prompt, str):
        if tokenizer is None:
            raise UsageError("The bundle has no tokenizer. Give the prompt as tokens.")
        prompt = tokenizer.encode(prompt)
    tokens = _integers(prompt, "prompt")
    if not tokens:
        raise UsageError("The prompt is empty. Give at least one token to go on from.")
    return tokens


def _integers(given: Sequence[int], name: str) -> list[int]:
    """Tokens as a list; UsageError for fractions, words and nested lists."""
    array = np.asarray(given)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise UsageError(
            f"Received {name}={given!r}; expected a flat list of tokens, which are whole numbers."
        )
    return [int(token) for token in array]


def _room(prompt_tokens: int, context: int, wanted: int | None) -> int:
    """How many tokens to generate; the last one need not be written into the cache."""
    room = context - prompt_tokens + 1
    if prompt_tokens > context:
        raise InvalidDataError(
            f"The prompt has {prompt_tokens:,} tokens and the cache holds {context:,}. Shorten the "
            "prompt, or export with a longer context."
        )
    if wanted is None:
        return room
    if wanted < 1:
        raise UsageError(f"Received max_tokens={wanted}; expected 1 or more.")
    if wanted > room:
        raise InvalidDataError(
            f"The prompt has {prompt_tokens:,} tokens and {wanted:,} more are wanted; the cache "
            f"holds {context:,}. Ask for at most {room:,}, or export with a longer context."
        )
    return wanted
