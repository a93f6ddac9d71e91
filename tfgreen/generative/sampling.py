"""Which token comes next, given its scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfgreen.errors import UsageError


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn.

    temperature: 0 takes the likeliest token; scores are divided by anything above.
    top_k: only the k likeliest; None: all.
    top_p: only the likeliest that together have this probability (Holtzman et al. 2020, "nucleus",
        arXiv 1904.09751); None or 1: all.

    Raises UsageError for values without meaning.

    >>> scores = np.log([0.5, 0.3, 0.2])
    >>> Sampling(temperature=1.0, top_p=0.6).probabilities(scores).round(3)
    array([0.625, 0.375, 0.   ])
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise UsageError(f"Received temperature={self.temperature}; expected 0 or more.")
        if self.top_k is not None and self.top_k < 1:
            raise UsageError(f"Received top_k={self.top_k}; expected 1 or more.")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UsageError(f"Received top_p={self.top_p}; expected more than 0, at most 1.")

    def draw(self, scores: np.ndarray, random: np.random.Generator) -> int:
        """One token, given scores (vocabulary,)."""
        if self.temperature == 0:
            return int(scores.argmax())
        return int(random.choice(len(scores), p=self.probabilities(scores)))

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """What each token is drawn with, float64 (vocabulary,), for a temperature above 0."""
        scaled = (scores.astype(np.float64) - scores.max()) / self.temperature
        order = np.argsort(-scaled, kind="stable")
        shares = np.exp(scaled[order])
        shares /= shares.sum()
        if self.top_p is not None:
            before = np.cumsum(shares) - shares
            shares[before >= self.top_p] = 0
        if self.top_k is not None:
            shares[self.top_k :] = 0
        chances = np.empty_like(shares)
        chances[order] = shares / shares.sum()
        return chances
