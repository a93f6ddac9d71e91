"""The signal-to-quantization-noise ratio, against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tfgreen.flatbuffer import Quantization
from tfgreen.verification.sqnr import SQNR_FLOOR_DB, Power, rounded_to


def power(true: list[float], approximate: list[float]) -> Power:
    found = Power()
    found.add(np.array(true, np.float32), np.array(approximate, np.float32))
    return found


def test_formula() -> None:
    # Signal 3^2 + 4^2 = 25, noise 0.5^2 = 0.25: 10 * log10(100) = 20.
    assert power([3.0, 4.0], [3.0, 4.5]).sqnr_db == pytest.approx(20.0)
    # Signal 4, noise 1 + 1: 10 * log10(2).
    assert power([2.0, 0.0], [1.0, 1.0]).sqnr_db == pytest.approx(10 * math.log10(2))


def test_portions_add_up() -> None:
    found = Power()
    found.add(np.array([3.0]), np.array([3.0]))
    found.add(np.array([4.0]), np.array([4.5]))
    assert found.sqnr_db == pytest.approx(20.0)


def test_no_noise_is_an_infinite_ratio() -> None:
    assert power([1.0, 2.0], [1.0, 2.0]).sqnr_db is None


def test_no_signal() -> None:
    assert power([0.0, 0.0], [0.0, 1.0]).sqnr_db == SQNR_FLOOR_DB


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite(value: float) -> None:
    assert not power([1.0, value], [1.0, 1.0]).is_finite
    assert not power([1.0, 1.0], [1.0, value]).is_finite


def test_rounding_keeps_to_the_scale_and_the_range() -> None:
    quantization = Quantization(np.array([0.1], np.float32), np.array([-10]), None)
    # round(0.26 / 0.1) = 3; the largest is (127 + 10) * 0.1, the smallest (-128 + 10) * 0.1.
    stored = rounded_to(np.array([0.26, 99.0, -99.0], np.float32), quantization, np.dtype("int8"))
    np.testing.assert_allclose(stored, [0.3, 13.7, -11.8], rtol=1e-6)


def test_a_float_tensor_loses_nothing() -> None:
    real = np.array([0.123], np.float32)
    assert rounded_to(real, None, np.dtype("float32")) is real
