"""Ways to choose the range of every activation, from the statistics of the float file.

All of them give `{tensor name: (minimum, maximum)}` with zero inside, as affine quantization
needs it (an exact zero point). Which of them is best differs from model to model, and on
calibration data alone the answer misleads: `selection` decides by cross-validation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tfgreen.tflite.statistics import ActivationStatistics

Ranges = Mapping[str, tuple[float, float]]

_BINS = 2048
_SHRINKS = np.linspace(0.5, 1.0, 26)


def minmax_ranges(statistics: ActivationStatistics) -> Ranges:
    """The true minimum and maximum of each tensor: nothing is clipped.

    >>> from tfgreen.tflite.statistics import ActivationStatistics
    >>> one = ActivationStatistics(("a",), np.array([[1.0, 0.5]]), np.array([[2.0, 3.0]]), ())
    >>> dict(minmax_ranges(one))
    {'a': (0.0, 3.0)}
    """
    low, high = statistics.minimum.min(axis=1), statistics.maximum.max(axis=1)
    return {
        name: _with_zero(float(low[row]), float(high[row]))
        for row, name in enumerate(statistics.names)
    }


def residual_ranges(statistics: ActivationStatistics) -> Ranges:
    """The true extremes, but what goes into an ADD gets the range of its result at least.

    Both summands on the sum's own scale are added with less rounding. TensorFlow's calibrator
    does this to the convolution before an ADD, by mistake (tensorflow/tensorflow#127842): mostly
    it costs accuracy, at times it helps.
    """
    ranges = dict(minmax_ranges(statistics))
    for summands, total in statistics.sums:
        low, high = ranges[total]
        for name in summands:
            own = ranges[name]
            ranges[name] = (min(own[0], low), max(own[1], high))
    return ranges


def percentile_ranges(statistics: ActivationStatistics, percentile: float) -> Ranges:
    """Clip the values beyond the given percentile (such as 99.99) on either side."""
    ranges = {}
    for row, name in enumerate(statistics.names):
        low, high = np.percentile(statistics.values[row], [100 - percentile, percentile])
        ranges[name] = _with_zero(float(low), float(high))
    return ranges


def least_error_ranges(
    statistics: ActivationStatistics, steps: int = 255, exponent: float = 2.0
) -> Ranges:
    """The range with the least mean |error| ** exponent when rounded to `steps` steps.

    Each end is searched between half of the extreme and the extreme itself, the upper end first.
    The error is taken from a histogram of the sampled values.
    """
    extremes = minmax_ranges(statistics)
    return {
        name: _least_error(statistics.values[row], extremes[name], steps, exponent)
        for row, name in enumerate(statistics.names)
    }


def _least_error(
    values: np.ndarray, extremes: tuple[float, float], steps: int, exponent: float
) -> tuple[float, float]:
    low, high = extremes
    if high - low <= 0:
        return extremes
    counts, edges = np.histogram(values, bins=_BINS, range=(low, high))
    centres = ((edges[:-1] + edges[1:]) / 2)[counts > 0]
    weights = counts[counts > 0].astype(np.float64)

    def error(end_low: float, end_high: float) -> float:
        scale = (end_high - end_low) / steps
        zero = np.round(-end_low / scale)
        rounded = (np.clip(np.round(centres / scale) + zero, 0, steps) - zero) * scale
        return float((weights * np.abs(rounded - centres) ** exponent).sum())

    if high > 0:
        high = _best_end(high, lambda end: error(low, end))
    if low < 0:
        low = _best_end(low, lambda end: error(end, high))
    return low, high


def _best_end(extreme: float, error: Callable[[float], float]) -> float:
    ends = [float(extreme * shrink) for shrink in _SHRINKS[::-1]]
    return min(ends, key=error)


def _with_zero(low: float, high: float) -> tuple[float, float]:
    return min(low, 0.0), max(high, 0.0)
