"""Intervals against independent oracles: SciPy's Wilson, SciPy's bootstrap, the normal law."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from scipy.stats import bootstrap as scipy_bootstrap

from tfgreen.intervals import bootstrap, wilson


@pytest.mark.parametrize(("right", "samples"), [(0, 10), (10, 10), (5, 10), (393, 400), (1, 3)])
def test_wilson_is_scipys(right: int, samples: int) -> None:
    oracle = binomtest(right, samples).proportion_ci(0.95, method="wilson")
    assert wilson(right, samples) == pytest.approx((oracle.low, oracle.high), abs=1e-12)


def test_the_bootstrap_is_scipys() -> None:
    values = np.random.default_rng(1).choice([-1.0, 0.0, 1.0], 300, p=[0.03, 0.95, 0.02])
    oracle = scipy_bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", rng=2
    ).confidence_interval
    # 10,000 resamples leave an end of the interval uncertain by about 1/300.
    assert bootstrap(values) == pytest.approx((oracle.low, oracle.high), abs=1 / 300)


def test_the_bootstrap_of_many_values_is_the_normal_law() -> None:
    values = np.random.default_rng(3).normal(2.0, 1.0, 2_000)
    half = 1.96 * values.std() / np.sqrt(len(values))
    low, high = bootstrap(values)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=2e-3)


def test_pairing_makes_the_interval_narrow() -> None:
    """Two models that err on the same clips differ by less than two that err on others."""
    errs = np.zeros(1000)
    errs[:50] = 1
    same, other = np.roll(errs, 2), np.roll(errs, 500)
    paired, apart = bootstrap(same - errs), bootstrap(other - errs)
    assert paired[1] - paired[0] < 0.3 * (apart[1] - apart[0])


def test_the_bootstrap_is_the_same_again() -> None:
    values = np.random.default_rng(4).normal(size=100)
    assert bootstrap(values) == bootstrap(values)
