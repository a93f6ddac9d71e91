"""Greedy decoding with the cache, checked against the same file without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfgreen.generative.session import Session


@dataclass(frozen=True)
class GreedyRun:
    """One greedy continuation up to the length of the context.

    tokens: prompt and continuation, int32 (context,). start: the prompt's length. logits: scores
    that the cache gave for each token from `start` on, (context - start, vocabulary).
    """

    tokens: np.ndarray
    start: int
    logits: np.ndarray


def greedy(session: Session, prompt: Sequence[int]) -> GreedyRun:
    """Continue a prompt with the likeliest token, until the cache is full."""
    session.reset()
    tokens = list(prompt)
    session.prefill(tokens[:-1])
    logits = []
    while len(tokens) < session.context:
        logits.append(session.decode(tokens[-1]))
        tokens.append(int(logits[-1].argmax()))
    return GreedyRun(np.asarray(tokens, np.int32), len(prompt), np.stack(logits))


def other_choices(run: GreedyRun, logits: np.ndarray) -> np.ndarray:
    """Places of the run where scores (context, vocabulary) of its tokens choose another token.

    Where there is none, greedy decoding by these scores writes the same text: each step has the
    same tokens before it.
    """
    choices = logits[run.start - 1 : -1].argmax(axis=-1)
    return np.asarray(np.flatnonzero(choices != run.tokens[run.start :]) + run.start)


def logit_steps(run: GreedyRun, logits: np.ndarray) -> np.ndarray:
    """Largest difference of scores at each generated place, (context - start,)."""
    return np.asarray(np.abs(run.logits - logits[run.start - 1 : -1]).max(axis=-1))


def prefill_steps(session: Session, windows: np.ndarray) -> np.ndarray:
    """By how much each way to fill the cache changes the scores after it, (prefill lengths + 1,).

    Each prefill signature is filled alone, then the longest prompt with whatever signatures it
    takes. windows: (n, context or more) tokens; neighbours are taken in turn, so that what an
    earlier one left in the cache is wrong for the next.
    """
    found = []
    for number, length in enumerate([*session.prefill_lengths, session.context]):
        window = windows[number % len(windows), : session.context]
        filled = min(length, session.context - 1)
        session.reset()
        session.prefill(window[:filled].tolist())
        found.append(
            np.abs(session.decode(int(window[filled])) - session.score(window)[filled]).max()
        )
    return np.asarray(found, np.float32)
