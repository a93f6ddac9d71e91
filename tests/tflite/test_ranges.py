"""Ranges of activations, computed by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.tflite.planted import statistics_of
from tfgreen.tflite.ranges import (
    least_error_ranges,
    minmax_ranges,
    percentile_ranges,
    residual_ranges,
)

finite = st.floats(-1e3, 1e3, width=32)


def test_minmax_is_the_extremes_of_all_runs_with_zero_inside() -> None:
    statistics = statistics_of(
        {"both": [[-1, 2], [0, 5]], "above": [[2, 3], [1, 4]], "below": [[-3, -2], [-9, -1]]}
    )
    assert minmax_ranges(statistics) == {
        "both": (-1.0, 5.0),
        "above": (0.0, 4.0),
        "below": (-9.0, 0.0),
    }


def test_percentiles_of_the_values_of_all_runs() -> None:
    """Of -50..50 in steps of 1 the 99th percentile is 49, the 1st -49."""
    values = np.arange(-50, 51).reshape(1, 101)
    statistics = statistics_of({"a": values, "above": values + 100})
    ranges = percentile_ranges(statistics, 99)
    assert ranges["a"] == pytest.approx((-49.0, 49.0))
    assert ranges["above"] == pytest.approx((0.0, 149.0))


def squared_error(values: np.ndarray, low: float, high: float, steps: int = 255) -> float:
    scale = (high - low) / steps
    zero = np.round(-low / scale)
    rounded = (np.clip(np.round(values / scale) + zero, 0, steps) - zero) * scale
    return float(((rounded - values) ** 2).sum())


@given(arrays(np.float32, (2, 40), elements=finite))
@settings(max_examples=60, deadline=None)
def test_the_least_error_is_no_larger_than_that_of_the_extremes(values: np.ndarray) -> None:
    low, high = minmax_ranges(statistics_of({"a": values}))["a"]
    chosen = least_error_ranges(statistics_of({"a": values}))["a"]
    assert low / 2 >= chosen[0] >= low and high / 2 <= chosen[1] <= high
    if high - low > 1e-3:
        # The histogram moves each value by half a bin at most, and its distance from the nearest
        # step by no more: forth for the one range, back for the other.
        moved = (high - low) / 2048 * np.sqrt(values.size)
        real = values.astype(np.float64)
        assert squared_error(real, *chosen) ** 0.5 <= squared_error(real, low, high) ** 0.5 + moved


def test_a_lone_outlier_is_clipped_by_the_square_but_less_by_the_cube() -> None:
    """10,000 values in 0..1 and one at 2, in 15 steps.

    With the end h the rounding costs about 10,000 (h / 15)² / 12 and the outlier (2 - h)²: the
    sum is least at h = 0.425, below what is searched; the cube weighs the outlier more.
    """
    values = np.append(np.linspace(0, 1, 10_000), 2.0).reshape(1, -1)
    statistics = statistics_of({"a": values})
    square = least_error_ranges(statistics, steps=15, exponent=2.0)["a"]
    cube = least_error_ranges(statistics, steps=15, exponent=3.0)["a"]
    tenth = least_error_ranges(statistics, steps=15, exponent=10.0)["a"]
    assert square == (0.0, 1.0)
    assert square[1] <= cube[1] < tenth[1]


def test_a_large_clean_range_is_kept() -> None:
    values = np.array([[-1.0] * 50 + [1.0] * 50])
    low, high = least_error_ranges(statistics_of({"a": values}))["a"]
    assert (low, high) == pytest.approx((-1.0, 1.0))


@pytest.mark.parametrize("ranges_of", [minmax_ranges, least_error_ranges])
def test_a_tensor_of_zeros_has_no_width(ranges_of) -> None:
    assert ranges_of(statistics_of({"a": [[0, 0, 0]]})) == {"a": (0.0, 0.0)}


@given(arrays(np.float32, (3, 20), elements=finite))
@settings(max_examples=40, deadline=None)
def test_zero_is_always_inside(values: np.ndarray) -> None:
    statistics = statistics_of({"a": values})
    for ranges in (
        minmax_ranges(statistics),
        percentile_ranges(statistics, 99.9),
        least_error_ranges(statistics, exponent=3.0),
    ):
        low, high = ranges["a"]
        assert low <= 0.0 <= high


def test_summands_get_at_least_the_range_of_their_sum() -> None:
    statistics = statistics_of({"a": [[-3, 1]], "b": [[0, 2]], "sum": [[0, 5]], "c": [[-1, 1]]})
    statistics = replace(statistics, sums=((("a", "b"), "sum"),))
    assert residual_ranges(statistics) == {
        "a": (-3.0, 5.0),
        "b": (0.0, 5.0),
        "sum": (0.0, 5.0),
        "c": (-1.0, 1.0),
    }
