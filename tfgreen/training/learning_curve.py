"""The learning curve as a law with a limit, and what another epoch would gain.

The curve is taken to be `limit - height · shape(epoch)` with noise, where the shape is a power law,
`epoch ** -rate`, or an exponential, `exp(-epoch / length)`; the first is "pow3" of Domhan,
Springenberg & Hutter, "Speeding up Automatic Hyperparameter Optimization of Deep Neural Networks by
Extrapolation of Learning Curves" (IJCAI 2015). For a given shape limit and height are a linear
regression, so that nothing is iterated: all shapes of a grid are fitted, and each counts by its
posterior probability under the usual flat priors (Gelman et al., "Bayesian Data Analysis", 14.2):
the height, and with it the gain, of each follows Student's t distribution. What comes out is a
mixture of those, drawn from with a fixed seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfgreen.errors import UsageError

LEAST_EPOCHS = 5
"""Fewer points do not tell three parameters and the noise around them."""

_RATES = np.geomspace(0.1, 3.0, 100)
_LENGTHS = np.geomspace(0.7, 60.0, 100)
_DRAWS = 4000
_SMALLEST = 1e-300


@dataclass(frozen=True)
class Gain:
    """What the curve rises over one more epoch, in units of the metric.

    expected: the median. draws: (4000,) float64, equally probable gains.
    """

    expected: float
    draws: np.ndarray

    def at_most(self, probability: float) -> float:
        """The gain that is not exceeded with that probability."""
        return float(np.quantile(self.draws, probability))

    def interval(self, probability: float = 0.9) -> tuple[float, float]:
        """Bounds that hold the gain with that probability."""
        rest = (1 - probability) / 2
        return self.at_most(rest), self.at_most(1 - rest)


def predicted_gain(values: Sequence[float], epochs: Sequence[float] | None = None) -> Gain:
    """How much higher the curve will be one epoch after the last.

    Args:
        values: of a metric of which more is better, one for each epoch; negate a loss.
        epochs: their numbers, from 1 on by default.

    Raises:
        UsageError: fewer than `LEAST_EPOCHS` values, or some that are not finite.

    >>> curve = [0.9 - 0.5 / epoch for epoch in range(1, 9)]
    >>> gain = predicted_gain(curve)
    >>> round(gain.expected, 3), round(0.5 / 8 - 0.5 / 9, 3)
    (0.007, 0.007)
    """
    y = np.asarray(values, np.float64)
    x = np.arange(1, len(y) + 1, dtype=np.float64) if epochs is None else np.asarray(epochs, float)
    if len(y) < LEAST_EPOCHS or len(x) != len(y) or not np.isfinite(y).all():
        raise UsageError(
            f"Received {len(y)} values for {len(x)} epochs; expected finite ones of at least "
            f"{LEAST_EPOCHS} epochs to fit a learning curve."
        )
    at, after = shapes(x), shapes(x[-1:] + 1)[:, 0]
    steps = at[:, -1] - after
    heights, errors, chances = _regressions(at, y)
    random = np.random.default_rng(0)
    drawn = random.choice(len(chances), _DRAWS, p=chances)
    noise = random.standard_t(len(y) - 2, _DRAWS)
    gains = steps[drawn] * (heights[drawn] + errors[drawn] * noise)
    return Gain(float(np.median(gains)), gains)


def shapes(epochs: np.ndarray) -> np.ndarray:
    """All falling curves that are tried, (200, n), at these epochs."""
    powers = epochs[None, :] ** -_RATES[:, None]
    exponentials = np.exp(-epochs[None, :] / _LENGTHS[:, None])
    return np.concatenate([powers, exponentials])


def _regressions(at: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of `y = limit - height · shape` for each shape: height, its standard error, probability.

    The probability of a shape, limit, height and noise integrated out, is proportional to
    det(XᵀX) ** -1/2 · residual ** -(n - 2) / 2; shapes are scaled to a variance of 1 first, so
    that the flat prior means the same for each.
    """
    free = len(y) - 2
    centred = at - at.mean(1, keepdims=True)
    spread = np.sqrt((centred**2).sum(1))
    unit = centred / spread[:, None]
    slopes = unit @ (y - y.mean())
    residual = np.maximum(((y - y.mean()) ** 2).sum() - slopes**2, 0.0)
    residual += _SMALLEST + (1e-12 * np.abs(y).max()) ** 2
    weight = np.exp(-0.5 * free * (np.log(residual) - np.log(residual.min())))
    error = np.sqrt(residual / free)
    return -slopes / spread, error / spread, weight / weight.sum()
