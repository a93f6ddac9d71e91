"""Schedules against Keras's own, against PyTorch's formula, and their laws."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfgreen.errors import UnknownNameError, UsageError
from tfgreen.training.schedules import (
    FUNCTIONS,
    NAMES,
    ONE_CYCLE_RISE,
    WARM_UP,
    Plateau,
    cosine,
    function_of,
    one_cycle,
)

SHARES = st.floats(0, 1)


def test_cosine_is_that_of_keras() -> None:
    steps, peak = 1000, 0.3
    theirs = keras.optimizers.schedules.CosineDecay(
        0.0, int(steps * (1 - WARM_UP)), warmup_target=peak, warmup_steps=int(steps * WARM_UP)
    )
    numbers = range(0, steps + 1, 25)
    expected = [float(keras.ops.convert_to_numpy(theirs(step))) for step in numbers]
    np.testing.assert_allclose([peak * cosine(n / steps) for n in numbers], expected, atol=1e-6)


def test_one_cycle_is_that_of_pytorch() -> None:
    """OneCycleLR(max_lr, anneal_strategy="cos", div_factor=25): as its documentation tells."""
    start, end = 1 / 25, 1e-4

    def expected(share: float) -> float:
        def between(low: float, high: float, part: float) -> float:
            return high + (low - high) / 2 * (math.cos(math.pi * part) + 1)

        if share <= ONE_CYCLE_RISE:
            return between(start, 1, share / ONE_CYCLE_RISE)
        return between(1, end, (share - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE))

    shares = np.linspace(0, 1, 101)
    np.testing.assert_allclose([one_cycle(s) for s in shares], [expected(s) for s in shares])


@given(SHARES, st.sampled_from(sorted(FUNCTIONS)))
def test_rates_lie_between_nothing_and_the_peak(share: float, name: str) -> None:
    assert 0 <= FUNCTIONS[name](share) <= 1 + 1e-12


@given(SHARES, SHARES, st.sampled_from(["cosine", "one-cycle"]))
def test_rates_fall_after_the_rise(one: float, other: float, name: str) -> None:
    early, late = sorted(0.3 + 0.7 * share for share in (one, other))
    assert FUNCTIONS[name](early) >= FUNCTIONS[name](late) - 1e-12


def test_a_plateau_lowers_as_keras_does() -> None:
    losses = [1.0, 0.8, 0.8, 0.9, 0.85, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7]
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    theirs = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=3)
    theirs.set_model(model)
    theirs.on_train_begin()
    expected = []
    for epoch, loss in enumerate(losses):
        theirs.on_epoch_end(epoch, {"loss": loss})
        expected.append(float(model.optimizer.learning_rate))
    ours = Plateau(patience=3)
    assert [ours.after(loss) for loss in losses] == expected
    rising = Plateau(patience=3, more=True)
    assert [rising.after(-loss) for loss in losses] == expected


def test_names() -> None:
    assert [function_of(name) is None for name in NAMES] == [False, False, False, True]
    with pytest.raises(UnknownNameError, match="Did you mean 'one-cycle'"):
        function_of("onecycle")
    with pytest.raises(UsageError, match="factor=2"):
        Plateau(factor=2)
