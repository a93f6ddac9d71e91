"""The fit of the learning curve against least squares, and against noise that is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfgreen.errors import UsageError
from tfgreen.training.learning_curve import (
    LEAST_EPOCHS,
    _regressions,
    predicted_gain,
    shapes,
)

EPOCHS = np.arange(1, 13, dtype=float)


@given(st.floats(0.2, 2.5), st.floats(0.05, 0.9), st.floats(0.5, 1.0), st.integers(6, 40))
@settings(deadline=None, max_examples=40)
def test_a_power_law_without_noise_is_found(
    rate: float, height: float, limit: float, count: int
) -> None:
    def curve(epoch: np.ndarray) -> np.ndarray:
        return limit - height * epoch**-rate

    gain = predicted_gain(curve(np.arange(1, count + 1, dtype=float)))
    true = curve(np.array([count + 1.0]))[0] - curve(np.array([float(count)]))[0]
    assert gain.expected == pytest.approx(true, rel=0.15, abs=1e-6)


@given(st.floats(1.0, 30.0), st.floats(0.1, 0.9))
@settings(deadline=None, max_examples=20)
def test_an_exponential_without_noise_is_found(length: float, height: float) -> None:
    curve = 0.9 - height * np.exp(-EPOCHS / length)
    true = height * (np.exp(-12 / length) - np.exp(-13 / length))
    assert predicted_gain(curve).expected == pytest.approx(true, rel=0.15, abs=1e-5)


@given(st.floats(-5, 5), st.floats(0.01, 100))
@settings(deadline=None, max_examples=20)
def test_gains_follow_the_unit_of_the_metric(offset: float, scale: float) -> None:
    noisy = 0.9 - 0.5 / EPOCHS + 0.01 * np.sin(7 * EPOCHS)
    plain, moved = predicted_gain(noisy), predicted_gain(offset + scale * noisy)
    assert moved.expected == pytest.approx(scale * plain.expected, rel=1e-6, abs=1e-9)
    assert moved.at_most(0.9) == pytest.approx(scale * plain.at_most(0.9), rel=1e-6, abs=1e-9)


def test_regressions_are_least_squares() -> None:
    random = np.random.default_rng(1)
    y = 0.9 - 0.5 * EPOCHS**-0.7 + random.normal(0, 0.02, 12)
    at = shapes(EPOCHS)
    heights, errors, chances = _regressions(at, y)
    logs = []
    for shape, height, error in zip(at, heights, errors, strict=True):
        matrix = np.stack([np.ones(12), -shape], axis=1)
        solution, residual, *_ = np.linalg.lstsq(matrix, y, rcond=None)
        covariance = np.linalg.inv(matrix.T @ matrix) * residual[0] / 10
        assert height == pytest.approx(solution[1])
        assert error == pytest.approx(np.sqrt(covariance[1, 1]))
        logs.append(-5 * np.log(residual[0]))
    expected = np.exp(np.array(logs) - max(logs))
    np.testing.assert_allclose(chances, expected / expected.sum(), rtol=1e-6)


def test_the_interval_holds_the_true_gain_as_often_as_it_says() -> None:
    """Of 300 noisy curves; the mixture is a little wide, never narrow."""
    random = np.random.default_rng(2)
    true = 0.4 * (12**-0.8 - 13**-0.8)
    held = below = 0
    for _ in range(300):
        gain = predicted_gain(0.9 - 0.4 * EPOCHS**-0.8 + random.normal(0, 0.01, 12))
        low, high = gain.interval(0.9)
        held += low <= true <= high
        below += true <= gain.at_most(0.9)
    assert held / 300 >= 0.86
    assert below / 300 >= 0.86


def test_a_flat_curve_gains_nothing() -> None:
    gain = predicted_gain([0.5] * 8)
    assert gain.at_most(0.95) == pytest.approx(0, abs=1e-9)


def test_too_little_is_refused() -> None:
    with pytest.raises(UsageError, match=f"at least {LEAST_EPOCHS} epochs"):
        predicted_gain([0.1, 0.2])
    with pytest.raises(UsageError, match="finite"):
        predicted_gain([0.1, 0.2, float("nan"), 0.4, 0.5])
