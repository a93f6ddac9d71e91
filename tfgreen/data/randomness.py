"""Does an array look like noise that somebody made up? Real data have structure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

_LEAST_SAMPLES, _LEAST_VALUES = 8, 16
# Tables of standardised features are honest data without neighbours; only long vectors are judged.
_LEAST_VECTOR_VALUES = 64
_MOST_SAMPLES, _MOST_POSITIONS, _MOST_VALUES = 256, 64, 20_000


def looks_random(array: np.ndarray) -> Mapping[str, float | str] | None:
    """The evidence that (n, *shape) finite values are independent noise, or None.

    All of it must hold: the values of one sample do not go together (squared correlation of 64
    positions over the samples as by chance), neighbours along every axis are uncorrelated, every
    position has the same mean, and the values follow a uniform or a normal distribution. Less
    than 8 samples, 16 values a sample or 64 values in a plain vector are too few to tell.

    >>> looks_random(np.random.default_rng(0).random((32, 8, 8)))["distribution"]
    'uniform'
    >>> looks_random(np.cumsum(np.ones((32, 64)), axis=1)) is None
    True
    """
    least = _LEAST_VECTOR_VALUES if array.ndim == 2 else _LEAST_VALUES
    if len(array) < _LEAST_SAMPLES or array[0].size < least:
        return None
    sample = array[:_MOST_SAMPLES].astype(np.float64)
    together = _correlation_over_chance(sample)
    if together is None or together > 1.25:
        return None
    neighbours = list(_neighbour_correlations(sample))
    if any(abs(correlation) > max(0.05, 3 / math.sqrt(pairs)) for correlation, pairs in neighbours):
        return None
    if _mean_spread_over_chance(sample) > 2:
        return None
    distribution, distance = _closest_distribution(sample)
    if distance > max(0.03, 1.6 / math.sqrt(min(sample.size, _MOST_VALUES))):
        return None
    strongest = max((abs(correlation) for correlation, _ in neighbours), default=0.0)
    return {
        "distribution": distribution,
        "distribution_distance": round(distance, 4),
        "neighbour_correlation": round(strongest, 4),
        "correlation_over_chance": round(together, 3),
    }


def _correlation_over_chance(sample: np.ndarray) -> float | None:
    """Mean squared correlation of neighbouring positions over what chance gives: noise has 1."""
    flat = sample.reshape(len(sample), -1)
    first = max(0, (flat.shape[1] - _MOST_POSITIONS) // 2)
    block = flat[:, first : first + _MOST_POSITIONS]
    block = block[:, block.std(axis=0) > 0]
    if block.shape[1] < _LEAST_VALUES:
        return None
    squared = np.corrcoef(block, rowvar=False) ** 2
    off_diagonal = squared[~np.eye(len(squared), dtype=bool)]
    return float(off_diagonal.mean() * (len(sample) - 1))


def _neighbour_correlations(sample: np.ndarray) -> Iterator[tuple[float, int]]:
    """Correlation of neighbours along each axis of a sample, and over how many pairs."""
    centred = sample - sample.mean()
    for axis in range(1, sample.ndim):
        size = sample.shape[axis]
        if size > 1:
            left = np.take(centred, range(size - 1), axis=axis)
            right = np.take(centred, range(1, size), axis=axis)
            scale = math.sqrt(float((left**2).sum()) * float((right**2).sum()))
            yield float((left * right).sum()) / scale if scale else 0.0, left.size


def _mean_spread_over_chance(sample: np.ndarray) -> float:
    """Variance of the positions' means over what chance gives: noise has 1."""
    flat = sample.reshape(len(sample), -1)
    return float(flat.mean(axis=0).var() / (flat.var() / len(flat)))


def _closest_distribution(sample: np.ndarray) -> tuple[str, float]:
    """Uniform or normal, whichever is closer, and the Kolmogorov-Smirnov distance to it."""
    values = sample.ravel()
    values = np.sort(values[:: max(1, values.size // _MOST_VALUES)])
    ranks = (np.arange(values.size) + 0.5) / values.size
    width = np.ptp(values)
    uniform = (values - values[0]) / width
    standard = (values - values.mean()) / (values.std() * math.sqrt(2))
    normal = np.array([0.5 * (1 + math.erf(value)) for value in standard])
    distances = {
        "uniform": float(np.abs(uniform - ranks).max()),
        "normal": float(np.abs(normal - ranks).max()),
    }
    best = min(distances, key=lambda name: distances[name])
    return best, distances[best]
