"""Optimizers: a twin trains as the Keras 3 model does, from the state that it was in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tests.models.bridge.training import (
    assert_equal_histories,
    assert_equal_weights,
    classifier,
    fit,
)
from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge import to_keras2, to_keras3
from tfgreen.models.bridge.hosted_optimizer import Keras3Optimizer

O = keras.optimizers  # noqa: E741
S = keras.optimizers.schedules


class Halving(S.LearningRateSchedule):  # type: ignore[misc]
    def __call__(self, step: Any) -> Any:
        return 0.1 * 0.5 ** keras.ops.cast(step, "float32")

    def get_config(self) -> dict[str, Any]:
        return {}


class Sign(O.Optimizer):  # type: ignore[misc]
    """An optimizer of the caller's own."""

    def build(self, variables: Any) -> None:
        super().build(variables)
        self.seen = self.add_optimizer_variables(variables, "seen")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        seen = self.seen[self._get_variable_index(variable)]
        self.assign_add(seen, gradient)
        self.assign_sub(variable, learning_rate * keras.ops.sign(seen))


NATIVE: dict[str, Callable[[], Any]] = {
    "SGD": lambda: O.SGD(0.1, momentum=0.9, nesterov=True),
    "SGD clipped": lambda: O.SGD(0.1, global_clipnorm=0.2, weight_decay=0.01),
    "Adam": lambda: O.Adam(0.01, amsgrad=True, clipnorm=0.1),
    "Adam with moving averages": lambda: O.Adam(0.01, use_ema=True, ema_momentum=0.9),
    "AdamW": lambda: O.AdamW(0.01, weight_decay=0.1),
    "RMSprop": lambda: O.RMSprop(0.01, momentum=0.5, centered=True),
    "Adagrad": lambda: O.Adagrad(0.1),
    "Adadelta": lambda: O.Adadelta(0.5),
    "Adamax": lambda: O.Adamax(0.01),
    "Adafactor": lambda: O.Adafactor(0.01),
    "Ftrl": lambda: O.Ftrl(0.1),
    "Lion": lambda: O.Lion(0.001),
    "exponential decay": lambda: O.SGD(S.ExponentialDecay(0.1, 2, 0.5)),
    "cosine decay": lambda: O.SGD(S.CosineDecay(0.1, 9, warmup_target=0.3, warmup_steps=3)),
    "restarts": lambda: O.SGD(S.CosineDecayRestarts(0.1, 3)),
    "steps": lambda: O.SGD(S.PiecewiseConstantDecay([2, 4], [0.1, 0.05, 0.01])),
    "polynomial decay": lambda: O.SGD(S.PolynomialDecay(0.1, 10)),
    "inverse time decay": lambda: O.SGD(S.InverseTimeDecay(0.1, 2, 0.5)),
    "a schedule of one's own": lambda: O.SGD(Halving()),
}

HOSTED: dict[str, Callable[[], Any]] = {
    "Nadam": lambda: O.Nadam(0.01),
    "Lamb": lambda: O.Lamb(0.01),
    "accumulated gradients": lambda: O.SGD(0.1, gradient_accumulation_steps=2),
    "a scaled loss": lambda: O.SGD(0.1, loss_scale_factor=4.0),
    "one's own": lambda: Sign(0.01),
    "one's own, scheduled": lambda: Sign(Halving()),
}


@pytest.mark.parametrize("name", [*NATIVE, *HOSTED])
def test_training_goes_on_as_it_would_have(name: str) -> None:
    """One epoch before the crossing, one on either side, one more after the way back."""
    model = classifier()
    model.compile({**NATIVE, **HOSTED}[name](), "mse", metrics=["mae"], jit_compile=False)
    fit(model)
    twin = to_keras2(model)
    assert isinstance(twin.optimizer, Keras3Optimizer) == (name in HOSTED)
    assert int(twin.optimizer.iterations) == 3
    assert_equal_histories(fit(twin), fit(model))
    assert_equal_weights(model, twin)
    again = to_keras3(twin, model)
    assert type(again.optimizer) is type(model.optimizer)
    fit(again)
    fit(model)
    assert_equal_weights(model, again)


def test_weight_decay_leaves_out_what_it_left_out() -> None:
    model = classifier()
    optimizer = O.AdamW(0.01, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model.compile(optimizer, loss="mse")
    twin = to_keras2(model)
    for one in (model, twin):
        fit(one)
    assert_equal_weights(model, twin)
    again = to_keras3(twin, model)
    for one in (model, again):
        fit(one)
    assert_equal_weights(model, again)


def test_the_learning_rate_can_be_set() -> None:
    model = classifier()
    model.compile(Sign(0.5), loss="mse")
    twin = to_keras2(model)
    twin.optimizer.learning_rate = 0.25
    assert float(twin.optimizer.learning_rate) == 0.25
    assert float(model.optimizer.learning_rate) == 0.5
    assert float(to_keras3(twin, model).optimizer.learning_rate) == 0.25


def test_half_precision_scales_its_loss() -> None:
    half = {"dtype": "mixed_float16"}
    layers = keras.layers
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = keras.Sequential([layers.Input((6,)), layers.Dense(4, **half)])
        model.compile("adam", "mse")
    finally:
        keras.config.set_dtype_policy("float32")
    twin = to_keras2(model)
    assert type(twin.optimizer).__name__.startswith("LossScaleOptimizer")
    fit(twin)
    again = to_keras3(twin, model)
    assert isinstance(again.optimizer, O.LossScaleOptimizer)
    fit(again)


def test_an_optimizer_that_needs_more_than_tf_keras_has_is_refused() -> None:
    model = classifier()
    model.compile(O.Muon(0.01), loss="mse")
    with pytest.raises(UnsupportedModelError, match="Muon cannot train a tf_keras model.*Adam"):
        to_keras2(model)


def test_the_callers_optimizer_is_not_used() -> None:
    model = classifier()
    model.compile(O.Adam(0.1), loss="mse")
    fit(model)
    before = [np.asarray(variable) for variable in model.optimizer.variables]
    twin = to_keras2(model)
    fit(twin)
    for one, two in zip(before, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, two)
