"""The trial of XLA: its arithmetic, what it leaves behind, and that it is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tfgreen as tg
from tests.training.small import BATCH_SIZE, STEPS, X, Y, model_of
from tfgreen.training import jit_trial
from tfgreen.training.feeding import feed_of
from tfgreen.training.jit_trial import StepCost, decide, measured_choice

SECONDS = st.floats(0, 100)


@given(SECONDS, SECONDS, SECONDS, SECONDS, st.integers(1, 10**6))
def test_the_cheaper_one_is_chosen(
    first: float, later: float, jit_first: float, jit_later: float, steps: int
) -> None:
    choice = decide(StepCost(first, later), StepCost(jit_first, jit_later), steps, "time")
    assert choice.jit_compile == (2 * jit_first + steps * jit_later < first + steps * later)


@pytest.mark.parametrize("flavour", ["keras", "tf_keras"])
def test_a_trial_leaves_no_trace(flavour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit_trial, "LEAST_SECONDS", 0.0)
    model = model_of(flavour)
    before = [weight.copy() for weight in model.get_weights()]
    trial = feed_of((X, Y), BATCH_SIZE, None, 0).trial
    choice = measured_choice(model, trial, 10)
    assert "XLA is" in choice.note and "10 steps would take" in choice.note
    after = model.get_weights()
    assert all(np.array_equal(one, two) for one, two in zip(before, after, strict=True))
    assert int(model.optimizer.iterations) == 0


def test_a_short_training_is_not_worth_a_trial() -> None:
    result = tg.fit(
        model_of("keras"), (X, Y), epochs=1, jit_compile="measure", seed=0,
        batch_size=BATCH_SIZE, verbose=0,
    )  # fmt: skip
    (note,) = result.notes
    assert note.startswith(f"XLA was not tried: {STEPS} steps of") and note in str(result)


def test_what_xla_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit_trial, "LEAST_SECONDS", 0.0)

    def fails(*_: Any) -> Any:
        raise ValueError("no XLA for this op")

    monkeypatch.setattr(jit_trial, "_interleaved", fails)
    choice = measured_choice(model_of("keras"), feed_of((X, Y), 16, None, 0).trial, 10)
    assert not choice.jit_compile and "no XLA for this op" in choice.note


def test_data_that_would_be_used_up_are_not_tried() -> None:
    result = tg.fit(
        model_of("keras"), ((X[:16], Y[:16]) for _ in range(4)), epochs=2, steps_per_epoch=2,
        jit_compile="measure", verbose=0,
    )  # fmt: skip
    assert result.notes == ("XLA was not tried: the data cannot be looked at beforehand.",)
    with pytest.raises(tg.UsageError, match="jit_compile='always'"):
        tg.fit(model_of("keras"), (X, Y), jit_compile="always")  # type: ignore[arg-type]
