"""The least error with which a tensor can be stored at all: its own best scale, searched."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfgreen.verification.sqnr import Power

_SHRINKS = np.linspace(0.1, 1.0, 37)
_MOST_VALUES = 1 << 16


def thinned(values: np.ndarray, most: int = _MOST_VALUES) -> np.ndarray:
    """At most so many of the values, evenly spaced, the extremes always among them; flat."""
    flat = values.ravel()
    if flat.size <= most:
        return flat
    step = -(-flat.size // most)
    return np.concatenate([flat[::step], [flat.min(), flat.max()]])


def best_range(values: np.ndarray, steps: int = 255) -> tuple[float, float]:
    """The range, zero inside, whose steps store the values with the least squared error."""
    flat = thinned(values).astype(np.float64)
    low, high = min(float(flat.min()), 0.0), max(float(flat.max()), 0.0)
    if high <= low:
        return low, high
    high *= _best_shrink(high, lambda end: _noise(flat, low, end, steps))
    low *= _best_shrink(low, lambda end: _noise(flat, end, high, steps))
    return low, high


def stored_in(values: np.ndarray, low: float, high: float, steps: int = 255) -> np.ndarray:
    """Values as they come back from so many steps over a range with an exact zero."""
    scale = (high - low) / steps
    if not scale > 0:
        return np.zeros_like(values)
    zero = np.round(-low / scale)
    return (np.clip(np.round(values / scale) + zero, 0, steps) - zero) * scale


def ideal_sqnr_db(values: np.ndarray, steps: int = 255) -> float | None:
    """SQNR of the values with their own best scale, in dB; None without any noise.

    >>> ideal_sqnr_db(np.arange(256.0)) is None
    True
    """
    flat = thinned(values)
    power = Power()
    power.add(flat, stored_in(flat.astype(np.float64), *best_range(flat, steps), steps))
    return power.sqnr_db


def _best_shrink(extreme: float, noise: Callable[[float], float]) -> float:
    if not extreme:
        return 1.0
    return float(min(_SHRINKS[::-1], key=lambda shrink: noise(float(extreme * shrink))))


def _noise(flat: np.ndarray, low: float, high: float, steps: int) -> float:
    error = stored_in(flat, low, high, steps) - flat
    return float(error @ error)
