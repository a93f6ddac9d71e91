"""Corruption of text: wrong tokens."""

from __future__ import annotations

import numpy as np

from tfgreen.verification.robustness.kinds import Reference

AMOUNTS = (0.02, 0.05, 0.1, 0.2, 0.3)
UNIT = "share of the tokens that is replaced"


def token_noise(
    tokens: np.ndarray, share: float, reference: Reference, random: np.random.Generator
) -> np.ndarray:
    """Some tokens become others that occur in the data; 0, which is padding, stays.

    The tokens that a lower severity replaces are among those of a higher one.
    """
    drawn = random.random(tokens.shape)
    others = reference.tokens[random.integers(0, max(1, len(reference.tokens)), tokens.shape)]
    return np.where((drawn < share) & (tokens != 0), others, tokens)
