"""What timings are worth: their spread, their drift, and whether a difference can be told.

Nothing here measures; the numbers come from `tfgreen.benchmarking.runner`, a block of runs being
one number. The blocks of a round were timed one right after the other, so that a machine that
was busy in that round slowed all of them: files are compared round by round.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Literal

from tfgreen.records import Record

NoiseVerdict = Literal["quiet", "uneven", "noisy"]
SpeedVerdict = Literal["faster", "slower", "undecided"]

QUIET_SHARE = 0.05
NOISY_SHARE = 0.20
"""Spread or drift beyond which the absolute times of a row are not to be quoted."""

_TAIL = 0.025
_FEWEST_RATIOS = 6  # fewer span no 95 % interval: 2 * 2**-5 is more than 5 %


class Spread(Record):
    """Times of one run, in seconds; quartiles as `statistics.quantiles` has them."""

    median_seconds: float
    minimum_seconds: float
    lower_quartile_seconds: float
    upper_quartile_seconds: float
    blocks: int


class Noise(Record):
    """How far the times of one row scatter, as shares of their median.

    spread_share: the interquartile range. drift_share: how far the median of a session (of the
    first or second half, where there is one session) lies from the median of all, at most.
    verdict: `quiet` up to 5 %, `noisy` from 20 % on, for the larger of the two.
    """

    spread_share: float
    drift_share: float
    verdict: NoiseVerdict


class Ratio(Record):
    """One file's time over another's, round by round.

    median: of the ratios of the rounds; below 1 the first file is faster. low, high: its 95 %
    interval, from the order of the ratios alone (no distribution is assumed); of fewer than six
    ratios their ends. sessions: the median of each session. verdict: `faster` or `slower` where the
    interval leaves 1 out and all sessions agree; `undecided` else, and of fewer than six ratios.
    """

    median: float
    low: float
    high: float
    sessions: tuple[float, ...]
    verdict: SpeedVerdict


def spread_of(sessions: Sequence[Sequence[float]]) -> Spread:
    """Median, minimum and quartiles of all blocks.

    Args:
        sessions: Seconds of one run, block by block, session by session; two blocks or more.

    >>> spread_of([[1.0, 2.0, 3.0], [4.0]]).median_seconds
    2.5
    """
    every = [seconds for session in sessions for seconds in session]
    low, _, high = statistics.quantiles(every, n=4)
    return Spread(
        median_seconds=statistics.median(every),
        minimum_seconds=min(every),
        lower_quartile_seconds=low,
        upper_quartile_seconds=high,
        blocks=len(every),
    )


def noise_of(sessions: Sequence[Sequence[float]]) -> Noise:
    """The noise verdict on one row's blocks.

    >>> noise_of([[1.0, 1.01, 1.0, 1.01], [1.0, 1.0, 1.01, 1.01]]).verdict
    'quiet'
    >>> noise_of([[1.0, 1.0, 1.0, 1.0], [1.5, 1.5, 1.5, 1.5]]).verdict  # something else began
    'noisy'
    """
    spread = spread_of(sessions)
    median = spread.median_seconds
    width = (spread.upper_quartile_seconds - spread.lower_quartile_seconds) / median
    drift = max(abs(statistics.median(part) / median - 1) for part in _parts(sessions))
    worse = max(width, drift)
    verdict: NoiseVerdict = "uneven" if worse > QUIET_SHARE else "quiet"
    if worse >= NOISY_SHARE:
        verdict = "noisy"
    return Noise(spread_share=width, drift_share=drift, verdict=verdict)


def ratio_of(sessions: Sequence[Sequence[float]], baseline: Sequence[Sequence[float]]) -> Ratio:
    """Compare two rows that took turns: block i of a session with block i of the other's.

    >>> ratio_of([[2.0, 2.1, 2.0, 2.2, 2.0, 2.1]], [[1.0, 1.0, 1.1, 1.0, 1.0, 1.0]]).verdict
    'slower'
    """
    ratios = [
        [own / other for own, other in zip(mine, theirs, strict=True)]
        for mine, theirs in zip(sessions, baseline, strict=True)
    ]
    every = sorted(ratio for session in ratios for ratio in session)
    rank = _rank(len(every))
    low, high = every[rank], every[-1 - rank]
    medians = tuple(statistics.median(part) for part in _parts(ratios))
    verdict: SpeedVerdict = "undecided"
    if len(every) < _FEWEST_RATIOS:
        pass
    elif high < 1 and max(medians) < 1:
        verdict = "faster"
    elif low > 1 and min(medians) > 1:
        verdict = "slower"
    return Ratio(
        median=statistics.median(every), low=low, high=high, sessions=medians, verdict=verdict
    )


def _parts(sessions: Sequence[Sequence[float]]) -> list[Sequence[float]]:
    """The sessions, or the two halves of a single one."""
    if len(sessions) > 1 or len(sessions[0]) < 2:
        return list(sessions)
    half = len(sessions[0]) // 2
    return [sessions[0][:half], sessions[0][half:]]


def _rank(count: int) -> int:
    """How many of `count` sorted values lie outside the median's 95 % interval, on either side.

    The number of values below the true median is binomial with p = 1/2, whatever the
    distribution (Conover, Practical Nonparametric Statistics, 3rd edition, 3.2).

    >>> _rank(6), _rank(20), _rank(4)  # the tables' 1st and 6th, 6th and 15th; too few: all
    (0, 5, 0)
    """
    below, rank = 0.0, 0
    while (below := below + math.comb(count, rank) / 2**count) <= _TAIL:
        rank += 1
    return max(0, rank - 1)
