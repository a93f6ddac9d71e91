"""Numbers that change in training: alpha and the temperature."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

from tfgreen.errors import UsageError

Number = float | tuple[float, float] | Callable[[float], float]
"""A fixed number; (from, to), on a straight line over the training; or a function of the share of
training that is done, 0 to 1."""


class Setting:
    """One number, fixed or changing.

    Args:
        name: for messages. value: see `Number`.
        low, high: what it has to lie between; low itself counts if `with_low`.

    Raises:
        UsageError: a number outside, at the start, the middle or the end.
    """

    def __init__(
        self, name: str, value: Any, low: float, high: float, with_low: bool = True
    ) -> None:
        self._name, self._given = name, value
        self._low, self._high, self._with_low = low, high, with_low
        self.is_fixed = not callable(value) and not isinstance(value, tuple | list)
        self._variable: Any = None
        for share in (0.0, 0.5, 1.0):
            self.at(share)

    def at(self, share: float) -> float:
        """The number when this share of training is done."""
        value = self._given
        if callable(value):
            value = value(share)
        elif isinstance(value, tuple | list):
            if len(value) != 2:
                raise UsageError(self._refusal(self._given))
            start, end = value
            if not all(map(_is_number, value)):
                raise UsageError(self._refusal(self._given))
            value = start + (end - start) * share
        if not _is_number(value) or not self._is_within(float(value)):
            raise UsageError(self._refusal(value))
        return float(value)

    @property
    def is_always_zero(self) -> bool:
        """Whether it is 0 and stays so."""
        return self.is_fixed and self.at(0.0) == 0.0

    def now(self) -> Any:
        """The number for the step that is computed: a float, or a variable's value."""
        if self.is_fixed:
            return self.at(0.0)
        return self._made().read_value()

    def set(self, share: float) -> None:
        """Go to where it is at this share of training."""
        if not self.is_fixed:
            self._made().assign(self.at(share))

    def make(self) -> None:
        """Make the variable, under the strategy that trains."""
        if not self.is_fixed:
            self._made()

    def __str__(self) -> str:
        if self.is_fixed:
            return f"{self.at(0.0):g}"
        return f"{self.at(0.0):g} → {self.at(1.0):g}"

    def _made(self) -> Any:
        import tensorflow as tf

        if self._variable is None:
            with tf.init_scope():
                self._variable = tf.Variable(self.at(0.0), trainable=False, dtype=tf.float32)
        return self._variable

    def _is_within(self, value: float) -> bool:
        if not math.isfinite(value) or value > self._high:
            return False
        return value >= self._low if self._with_low else value > self._low

    def _refusal(self, value: Any) -> str:
        low = f"{self._low:g} or more" if self._with_low else f"above {self._low:g}"
        high = "" if math.isinf(self._high) else f" and at most {self._high:g}"
        return (
            f"{self._name} received {value!r}; expected a number {low}{high}, a pair (from, to) of "
            "such numbers, or a function of the share of training (0 to 1) that returns one."
        )


def ramp_callback(settings: list[Setting], flavour: str) -> Any:
    """A callback of a Keras that moves settings along while it trains."""
    return _callback_class(flavour)(settings)


@cache
def _callback_class(flavour: str) -> Any:
    if flavour == "keras2":
        from tfgreen.models.keras2 import tf_keras

        base: Any = tf_keras().callbacks.Callback
    else:
        import keras

        base = keras.callbacks.Callback

    class Ramp(base):  # type: ignore[misc]
        """Sets alpha and temperature before every batch."""

        def __init__(self, settings: list[Setting]) -> None:
            super().__init__()
            self._settings = settings
            self._epoch = 0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self._epoch = epoch

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            epochs, steps = self.params.get("epochs"), self.params.get("steps")
            if not steps:
                raise UsageError(
                    "Nobody knows how many steps this training has (a generator or a dataset of "
                    "unknown length), and alpha or temperature change along them: give fit "
                    "steps_per_epoch."
                )
            last = max(int(epochs or 1) * int(steps) - 1, 1)
            done = (self._epoch * int(steps) + batch) / last
            for setting in self._settings:
                setting.set(min(done, 1.0))

    return Ramp


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
