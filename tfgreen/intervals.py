"""What a figure from some samples says about all: Wilson's interval and the paired bootstrap."""

from __future__ import annotations

import math

import numpy as np

from tfgreen.records import Record

_QUANTILE = 1.959963984540054  # of the normal distribution, for 95 %
_TAILS = (2.5, 97.5)
_RESAMPLES = 10_000
_SEED = 20
_CHUNK_VALUES = 5_000_000
_FEW_VALUES = 64


class Estimate(Record):
    """A figure from samples with its 95 % interval."""

    value: float
    low: float
    high: float


def wilson(right: int, samples: int) -> tuple[float, float]:
    """Wilson's score interval (95 %) of a share.

    Unlike the textbook's plus or minus, it stays within 0 and 1 and has a width at either end
    (E. B. Wilson, Journal of the American Statistical Association 22, 1927).

    >>> low, high = wilson(50, 100)
    >>> round(low, 4), round(high, 4)
    (0.4038, 0.5962)
    """
    share, square = right / samples, _QUANTILE**2
    middle = (share + square / (2 * samples)) / (1 + square / samples)
    half = math.sqrt(share * (1 - share) / samples + square / (4 * samples**2))
    half *= _QUANTILE / (1 + square / samples)
    # At 0 and 1 the interval ends there; rounding may not move the share out of it.
    return min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half))


def bootstrap(values: np.ndarray) -> tuple[float, float]:
    """The percentile interval (95 %) of a mean, from 10,000 resamples of a fixed seed.

    Of the differences of two models on the same samples it is the paired bootstrap: samples that
    both get right, or both wrong, add nothing to its width.

    Args:
        values: (n,) numbers.

    >>> bootstrap(np.array([0.5, 0.5, 0.5]))
    (0.5, 0.5)
    """
    means = _resampled_means(values)
    low, high = np.percentile(means, _TAILS)
    return float(low), float(high)


def bootstrapped(values: np.ndarray) -> Estimate:
    """The mean of (n,) numbers with the interval of `bootstrap`."""
    low, high = bootstrap(values)
    return Estimate(value=float(values.mean()), low=low, high=high)


def _resampled_means(values: np.ndarray) -> np.ndarray:
    random = np.random.default_rng(_SEED)
    count = len(values)
    distinct, times = np.unique(values, return_counts=True)
    if len(distinct) <= _FEW_VALUES:  # how often each is drawn is a multinomial: the same law
        drawn = random.multinomial(count, times / count, _RESAMPLES)
        return np.asarray(drawn @ distinct.astype(np.float64) / count)
    means = np.empty(_RESAMPLES)
    step = max(1, _CHUNK_VALUES // count)
    for start in range(0, _RESAMPLES, step):
        rows = random.integers(0, count, (min(step, _RESAMPLES - start), count))
        means[start : start + len(rows)] = values[rows].mean(axis=1)
    return means
