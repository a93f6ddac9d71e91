"""Shares of training as steps, and the sparsity at a step, as arithmetic."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfgreen.compression.pruning.schedules import (
    SCHEDULES,
    KernelSchedule,
    ScheduleName,
    Span,
    schedule_between,
    span_of,
)
from tfgreen.errors import UsageError


@pytest.mark.parametrize(
    ("begin", "end", "frequency", "steps", "expected"),
    [
        (0.0, 1.0, None, 100, Span(1, 97, 4)),  # 99 // 20 = 4; 1 + 24 * 4 = 97
        (0.0, 0.75, None, 8, Span(1, 6, 1)),
        (0.25, 0.75, 10, 400, Span(101, 291, 10)),
        (0.0, 1.0, None, 10_000, Span(1, 9901, 100)),  # at most 100
        (0.29, 1.0, 1, 100, Span(30, 100, 1)),  # .29 * 100 is 28.999… in floating point
        (0.0, 0.75, None, 1, Span(1, 1, 1)),
        (0.9, 1.0, None, 3, Span(3, 3, 1)),
    ],
)
def test_span(begin: float, end: float, frequency: int | None, steps: int, expected: Span) -> None:
    assert span_of(begin, end, frequency, steps) == expected


def test_span_of_a_later_training() -> None:
    assert span_of(0.0, 0.5, 1, 10, after=30) == Span(31, 35, 1)


def test_frequency_beyond_the_span_is_refused() -> None:
    with pytest.raises(UsageError, match=r"every 100 steps, but begin=0 and end=0.75 .* only 29 "):
        span_of(0.0, 0.75, 100, 40)


@given(st.floats(0, 0.99), st.floats(0.01, 1), st.integers(1, 5000), st.none() | st.integers(1, 50))
def test_updates_lie_in_training_and_end_on_the_last(
    begin: float, length: float, steps: int, frequency: int | None
) -> None:
    try:
        span = span_of(begin, min(begin + length, 1), frequency, steps)
    except UsageError:
        assert frequency is not None
        return
    assert 1 <= span.begin_step <= span.end_step <= steps
    assert (span.end_step - span.begin_step) % span.frequency == 0


# Sparsity after 0, 1/4, 1/2, 3/4 and all of the span, from .2 to .8.
ONE_CYCLE = [
    0.2 + 0.6 * (1 + math.exp(-8)) / (1 + math.exp(6 - 14 * p)) for p in (0, 0.25, 0.5, 0.75, 1)
]
EXPECTED: dict[ScheduleName, list[float]] = {
    "polynomial": [0.8 - 0.6 * (1 - p) ** 3 for p in (0, 0.25, 0.5, 0.75, 1)],
    "constant": [0.8] * 5,
    # What is left: .8, then times (.2 / .8) ** .25 at every quarter.
    "exponential": [1 - 0.8 * 0.25**p for p in (0, 0.25, 0.5, 0.75, 1)],
    "one-cycle": ONE_CYCLE,
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_sparsity(name: ScheduleName) -> None:
    schedule = schedule_between(name, 0.2, 0.8, Span(11, 51, 10))
    assert [sparsity_at(schedule, step) for step in (11, 21, 31, 41, 51)] == pytest.approx(
        EXPECTED[name], abs=1e-6
    )
    assert sparsity_at(schedule, 51) == np.float32(0.8)
    assert sparsity_at(schedule, 500) == np.float32(0.8)


@pytest.mark.parametrize("name", SCHEDULES)
def test_updates(name: ScheduleName) -> None:
    schedule = schedule_between(name, 0.0, 0.5, Span(3, 9, 3))
    updated = [step for step in range(1, 15) if bool(schedule(step_tensor(step))[0])]
    assert updated == [3, 6, 9]


def test_a_ramp_without_length_is_one_update() -> None:
    schedule = schedule_between("polynomial", 0.0, 0.5, Span(1, 1, 1))
    assert [bool(schedule(step_tensor(step))[0]) for step in (1, 2)] == [True, False]
    assert sparsity_at(schedule, 1) == 0.5


def test_a_layer_called_twice_a_step_keeps_the_pace() -> None:
    schedule = KernelSchedule(0.8)
    schedule.calls = 2
    schedule.follow(schedule_between("polynomial", 0.2, 0.8, Span(1, 5, 1)))
    single = schedule_between("polynomial", 0.2, 0.8, Span(1, 5, 1))
    for step in range(1, 6):
        for call in (2 * step - 1, 2 * step):
            assert sparsity_at(schedule, call) == sparsity_at(single, step)


def test_without_a_length_nothing_is_pruned() -> None:
    should_prune, sparsity = KernelSchedule(0.8)(step_tensor(1))
    assert not bool(should_prune)
    assert float(sparsity) == 0


@pytest.mark.parametrize("name", SCHEDULES)
def test_configs_are_those_of_the_original(name: ScheduleName) -> None:
    from tfgreen.models.keras2 import model_optimization

    schedule = KernelSchedule(0.5)
    assert schedule.get_config()["config"]["target_sparsity"] == 0.5
    schedule.follow(schedule_between(name, 0.0, 0.5, Span(3, 9, 3)))
    config = schedule.get_config()
    kind = getattr(model_optimization().sparsity.keras, config["class_name"])
    assert kind(**config["config"]).get_config() == config


def step_tensor(step: int) -> Any:
    import tensorflow as tf

    return tf.constant(step, tf.int64)


def sparsity_at(schedule: Any, step: int) -> float:
    return float(schedule(step_tensor(step))[1])
