"""Spread, noise verdict and comparison, on timings that were made up with known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tfgreen.benchmarking.timings import noise_of, ratio_of, spread_of


def scattered(
    seed: int, median: float, relative: float, sessions: int = 3, rounds: int = 20
) -> list[list[float]]:
    """Log-normal times around a median, session by session."""
    random = np.random.default_rng(seed)
    drawn = median * np.exp(random.normal(0, relative, (sessions, rounds)))
    return [list(map(float, row)) for row in drawn]


def test_spread_by_hand() -> None:
    spread = spread_of([[4.0, 1.0, 3.0], [2.0, 5.0, 6.0, 7.0]])
    assert (spread.median_seconds, spread.minimum_seconds, spread.blocks) == (4.0, 1.0, 7)
    assert (spread.lower_quartile_seconds, spread.upper_quartile_seconds) == (2.0, 6.0)


@pytest.mark.parametrize(
    ("sessions", "verdict", "spread", "drift"),
    [
        ([[1.0] * 8, [1.0] * 8], "quiet", 0.0, 0.0),
        # Quartiles .9 and 1.1 in each session: a fifth of the median lies between them.
        ([[0.9, 0.9, 1.0, 1.1, 1.1], [0.9, 0.9, 1.0, 1.1, 1.1]], "noisy", 0.2, 0.0),
        ([[0.95, 0.95, 1.0, 1.05, 1.05], [0.95, 0.95, 1.0, 1.05, 1.05]], "uneven", 0.1, 0.0),
        # One session at 1, another at 1.3: each is steady, and half their distance is drift.
        ([[1.0] * 8, [1.3] * 8], "noisy", 0.3 / 1.15, 0.15 / 1.15),
        # A single session is judged by its halves.
        ([[1.0, 1.0, 1.0, 1.0, 1.16, 1.16, 1.16, 1.16]], "uneven", 0.16 / 1.08, 0.08 / 1.08),
    ],
)
def test_noise_by_hand(
    sessions: list[list[float]], verdict: str, spread: float, drift: float
) -> None:
    noise = noise_of(sessions)
    assert noise.verdict == verdict
    assert noise.spread_share == pytest.approx(spread)
    assert noise.drift_share == pytest.approx(drift)


def test_noise_that_both_files_share_does_not_hide_a_difference() -> None:
    """A machine whose load doubles all times now and then: single times are worthless."""
    load = scattered(1, 1.0, 0.5)
    slower = [[1.1 * seconds for seconds in session] for session in load]
    assert noise_of(load).verdict == "noisy"
    ratio = ratio_of(slower, load)
    assert ratio.verdict == "slower"
    assert (ratio.low, ratio.median, ratio.high) == pytest.approx((1.1, 1.1, 1.1))


def test_sessions_that_disagree_decide_nothing() -> None:
    """Where memory happened to lie may make a whole session fast: all rounds agree in it."""
    ones = [[1.0] * 20] * 3
    mixed = [[0.8] * 20, [0.8] * 20, [1.05] * 20]
    assert ratio_of(mixed, ones).high < 1
    assert ratio_of(mixed, ones).verdict == "undecided"
    assert ratio_of([[0.8] * 20, [0.8] * 20, [0.95] * 20], ones).verdict == "faster"


def test_five_rounds_decide_nothing() -> None:
    """That all five are on one side happens by chance in 2 of 32 cases, which is above 5 %."""
    assert ratio_of([[0.8] * 5], [[1.0] * 5]).verdict == "undecided"
    assert ratio_of([[0.8] * 6], [[1.0] * 6]).verdict == "faster"


def test_the_interval_holds_the_median_as_often_as_it_says() -> None:
    """The law behind it: of 95 % intervals, at least 95 % hold the true median, whatever it is."""
    holds = 0
    for seed in range(400):
        ratio = ratio_of(scattered(seed, 1.3, 0.2), [[1.0] * 20] * 3)
        holds += ratio.low <= 1.3 <= ratio.high
    assert holds / 400 >= 0.95 - 2 * math.sqrt(0.05 * 0.95 / 400)


def test_equal_files_are_seldom_told_apart() -> None:
    told = 0
    for seed in range(400):
        mine, theirs = scattered(seed, 1.0, 0.1), scattered(10_000 + seed, 1.0, 0.1)
        told += ratio_of(mine, theirs).verdict != "undecided"
    assert told / 400 <= 0.05


def test_swapping_the_files_inverts_the_ratio() -> None:
    mine, theirs = scattered(3, 2.0, 0.1), scattered(4, 1.0, 0.1)
    there, back = ratio_of(mine, theirs), ratio_of(theirs, mine)
    assert (there.verdict, back.verdict) == ("slower", "faster")
    assert back.low == pytest.approx(1 / there.high)
    assert back.high == pytest.approx(1 / there.low)
