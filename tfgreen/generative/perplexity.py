"""Perplexity, and how sure a difference of two perplexities is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfgreen.errors import InvalidDataError

_RESAMPLES = 2000
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class PerplexityChange:
    """The perplexity of a file against that of the float model on the same text.

    change: file / float - 1; low and high bound it with 95 % confidence, by a paired bootstrap
    over windows of text (Efron 1979): it tells what other text of the kind would have given.
    """

    float_model: float
    file: float
    change: float
    low: float
    high: float


def token_losses(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """What each token cost, in nats: -log of the probability that the scores gave it.

    logits: (n, vocabulary); targets: (n,) int. Returns float64 (n,).

    >>> token_losses(np.zeros((1, 4)), np.array([2])).round(4)
    array([1.3863])
    """
    scores = logits.astype(np.float64)
    top = scores.max(axis=-1, keepdims=True)
    total = np.log(np.exp(scores - top).sum(axis=-1)) + top[:, 0]
    return np.asarray(total - np.take_along_axis(scores, targets[:, None], axis=-1)[:, 0])


def perplexity_change(float_losses: np.ndarray, file_losses: np.ndarray) -> PerplexityChange:
    """Compare the losses (windows, n) of the same tokens.

    >>> same = perplexity_change(np.ones((5, 3)), np.ones((5, 3)))
    >>> round(same.file, 3), same.change, same.low, same.high
    (2.718, 0.0, 0.0, 0.0)
    """
    each = (file_losses - float_losses).mean(axis=1)
    random = np.random.default_rng(0)
    picks = random.integers(0, len(each), (_RESAMPLES, len(each)))
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(each[picks].mean(axis=1), [tail, 1 - tail])
    return PerplexityChange(
        float(np.exp(float_losses.mean())),
        float(np.exp(file_losses.mean())),
        float(np.expm1(each.mean())),
        float(np.expm1(low)),
        float(np.expm1(high)),
    )


def text_windows(tokens: np.ndarray, context: int, most: int) -> np.ndarray:
    """Windows (n, context + 1), int32, of a text's tokens: inputs and, one further, targets.

    They do not overlap, but for the token that ends one and begins the next; of more than `most`,
    those evenly spread over the text are taken. Raises InvalidDataError for a text that does not
    fill two.
    """
    count = (len(tokens) - 1) // context
    if count < 2:
        raise InvalidDataError(
            f"The text has {len(tokens):,} tokens; a comparison needs two windows of the context, "
            f"{2 * context + 1:,} tokens. Give more text."
        )
    chosen = np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))
    places = chosen[:, None] * context + np.arange(context + 1)
    return np.asarray(tokens, np.int32)[places]
