"""Integers for a layer's weights that leave its output right: learned rounding, and its polish.

All of it minimizes, for each output channel, the mean squared error of the layer's output on
calibration data. That error is a quadratic form in the weights, so the data enter once, as
moments, and a step costs one matrix product.

`learned` is AdaRound (Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training
Quantization", arXiv 2004.10568): every weight gets a soft choice between the integer below and
the one above, which a regularizer drives to 0 or 1. `polished` then changes one weight at a time
to the best integer, until no single change helps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_DAMPING = 0.01
_SWEEPS = 12
_MOST_STEPS, _FEWEST_STEPS = 600, 120
_FLOPS = 6e10
_RATE, _WARM_UP, _STRETCH = 0.05, 0.2, 0.1
_FIRST_POWER, _LAST_POWER = 20.0, 2.0
_REGULARIZER = 1.0
_SHRINKS = np.linspace(1.0, 0.6, 9)


@dataclass(frozen=True)
class Problem:
    """One layer, all arrays float32 in batches of independent blocks (depthwise: channels).

    weights: (blocks, K, outputs) real weights, in units of the scales: an integer is exact.
    moments: (blocks, K, K) of the inputs that the quantized layer gets, damped.
    wanted: (blocks, K, outputs), so that the error of `stored` is
        stored' moments stored - 2 stored' wanted, in units of the scales squared, and a constant.
    limit: the largest integer; -limit is the smallest.
    """

    weights: np.ndarray
    moments: np.ndarray
    wanted: np.ndarray
    limit: int

    def error(self, stored: np.ndarray) -> np.ndarray:
        """The part of each output's error that the choice decides, (blocks, outputs)."""
        return np.asarray((stored * (self.moments @ stored - 2 * self.wanted)).sum(axis=1))

    @property
    def nearest(self) -> np.ndarray:
        """Every weight rounded for itself."""
        return np.clip(np.rint(self.weights), -self.limit, self.limit)


def problem_of(
    weights: np.ndarray,
    scales: np.ndarray,
    quantized: np.ndarray,
    real: np.ndarray,
    limit: int,
) -> Problem:
    """The problem of a layer.

    weights: (blocks, K, outputs) real. scales: (blocks, 1, outputs). quantized, real: rows of
    the layer's inputs in the quantized and in the float network, (blocks, n, K), centred where
    a bias takes the mean.
    """
    transposed = quantized.transpose(0, 2, 1)
    moments = (transposed @ quantized).astype(np.float64)
    crossed = (transposed @ real).astype(np.float64)
    size = moments.shape[-1]
    power = np.trace(moments, axis1=1, axis2=2)[:, None, None] / size
    damping = np.where(power > 0, _DAMPING * power, 1.0) * np.eye(size)
    units = weights / scales
    norm = np.where(power > 0, power, 1.0)
    return Problem(
        units.astype(np.float32),
        ((moments + damping) / norm).astype(np.float32),
        (((crossed + damping) / norm) @ units).astype(np.float32),
        limit,
    )


def best_integers(problem: Problem, starts: tuple[np.ndarray, ...]) -> np.ndarray:
    """The integers with the least error for each output: learned, or from one of the starts."""
    candidates = [problem.nearest, *starts]
    steps = _affordable_steps(problem)
    if steps >= _FEWEST_STEPS:
        candidates.append(learned(problem, steps))
    best, least = candidates[0], problem.error(candidates[0])
    for candidate in candidates:
        found = polished(problem, candidate)
        error = problem.error(found)
        better = (error < least)[:, None, :]
        best, least = np.where(better, found, best), np.minimum(error, least)
    return best


def learned(
    problem: Problem, steps: int = _MOST_STEPS, on_step: Callable[[int], None] | None = None
) -> np.ndarray:
    """AdaRound: integers, each the one below or above its weight, (blocks, K, outputs)."""
    below = np.floor(problem.weights)
    part = problem.weights - below
    logit = -np.log((1 + 2 * _STRETCH) / (part + _STRETCH) - 1)
    nearest = problem.nearest - problem.weights
    unit = (nearest * (problem.moments @ nearest)).sum(axis=1, keepdims=True)
    unit = np.maximum(unit, 1e-12 + unit.mean() * 1e-3)
    weight = _REGULARIZER / problem.weights.shape[1]
    first, second = np.zeros_like(logit), np.zeros_like(logit)
    warm_up = int(steps * _WARM_UP)
    for step in range(steps):
        soft = 1 / (1 + np.exp(-logit))
        choice = np.clip(soft * (1 + 2 * _STRETCH) - _STRETCH, 0, 1)
        integers = np.clip(below + choice, -problem.limit, problem.limit)
        slope = 2 * (problem.moments @ integers - problem.wanted) / unit
        if step >= warm_up:
            done = (step - warm_up) / max(steps - warm_up, 1)
            power = _LAST_POWER + (_FIRST_POWER - _LAST_POWER) * (1 - done)
            far = 2 * choice - 1
            slope -= weight * 2 * power * np.abs(far) ** (power - 1) * np.sign(far)
        slope = slope * (1 + 2 * _STRETCH) * soft * (1 - soft)
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * slope**2
        fresh = 1 - 0.9 ** (step + 1), 1 - 0.999 ** (step + 1)
        logit = logit - _RATE * (first / fresh[0]) / (np.sqrt(second / fresh[1]) + 1e-8)
        if on_step is not None:
            on_step(step)
    chosen = np.clip(below + (logit > 0), -problem.limit, problem.limit)
    return np.where(problem.weights == 0, 0, chosen)


def polished(problem: Problem, stored: np.ndarray) -> np.ndarray:
    """Every weight in turn set to the integer that fits best with all others; zeros stay zeros."""
    stored = stored.astype(np.float32).copy()
    free = problem.weights != 0
    slope = problem.moments @ stored - problem.wanted
    own = np.diagonal(problem.moments, axis1=1, axis2=2)
    for _ in range(_SWEEPS):
        changes = 0
        for column in range(stored.shape[1]):
            old = stored[:, column]
            new = np.rint(old - slope[:, column] / own[:, column, None])
            new = np.clip(new, -problem.limit, problem.limit)
            change = np.where(free[:, column], new - old, 0).astype(np.float32)
            if change.any():
                changes += int(np.count_nonzero(change))
                stored[:, column] = old + change
                slope += problem.moments[:, :, column, None] * change[:, None, :]
        if not changes:
            break
    return stored


def best_shrink(problem: Problem) -> np.ndarray:
    """By how much each output's scale should shrink, (blocks, outputs), when rounding to nearest.

    A smaller scale clips the largest weights and is finer for all others; what is best is
    searched between 0.6 and 1.
    """
    best = np.ones(problem.weights.shape[::2], np.float32)
    least = np.full(best.shape, np.inf)
    for shrink in _SHRINKS:
        integers = np.clip(np.rint(problem.weights / shrink), -problem.limit, problem.limit)
        error = problem.error((integers * shrink).astype(np.float32))
        best = np.where(error < least, shrink, best)
        least = np.minimum(error, least)
    return best.astype(np.float32)


def _affordable_steps(problem: Problem) -> int:
    blocks, size, outputs = problem.weights.shape
    return int(min(_MOST_STEPS, _FLOPS / (2 * blocks * size * size * outputs)))
