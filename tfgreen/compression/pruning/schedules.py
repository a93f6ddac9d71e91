"""When pruning happens, and how much of it: shares of training become numbered steps.

`span_of` turns begin and end into steps as soon as their number is known, `schedule_between` makes
the schedule that TensorFlow Model Optimization runs. Steps count from 1. The last update falls on
the end step exactly, so that the target is always reached.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tfgreen.errors import UsageError
from tfgreen.models.keras2 import model_optimization

ScheduleName = Literal["polynomial", "constant", "exponential", "one-cycle"]
SCHEDULES: tuple[ScheduleName, ...] = ("polynomial", "constant", "exponential", "one-cycle")

_POLYNOMIAL_POWER = 3
_LARGEST_FREQUENCY = 100
_FEWEST_UPDATES = 20
# The published one-cycle schedule's constants.
_STEEPNESS, _OFFSET = 14.0, 6.0


@dataclass(frozen=True)
class Span:
    """The steps of training, counted from 1, in which masks are updated.

    The updates fall on begin_step, begin_step + frequency, …, end_step.
    """

    begin_step: int
    end_step: int
    frequency: int


def span_of(begin: float, end: float, frequency: int | None, steps: int, after: int = 0) -> Span:
    """The steps that begin and end mean in a training of a known length.

    Args:
        begin, end: shares of training (0 to 1).
        frequency: steps between two updates; by default at most 100, and so many that there are
            at least 20 updates, if there are 20 steps.
        steps: how many steps the training has.
        after: how many steps lie behind it.

    Raises:
        UsageError: the frequency is larger than the time between begin and end.

    >>> span_of(0.25, 0.75, 10, steps=400)
    Span(begin_step=101, end_step=291, frequency=10)
    """
    first = min(_whole(begin * steps) + 1, steps)
    last = max(_whole(end * steps), first)
    if frequency is None:
        frequency = max(1, min(_LARGEST_FREQUENCY, (last - first) // _FEWEST_UPDATES))
    elif frequency > max(last - first, 1):
        raise UsageError(
            f"Pruning was to update its masks every {frequency} steps, but begin={begin:g} and "
            f"end={end:g} of a training of {steps} steps are only {last - first} steps apart: "
            "choose a smaller frequency, or leave it out."
        )
    updates = (last - first) // frequency
    return Span(after + first, after + first + updates * frequency, frequency)


def schedule_between(name: ScheduleName, initial: float, final: float, span: Span) -> Any:
    """The schedule that goes from one sparsity to another (0 to 1) within a span.

    "polynomial" and "constant" are TensorFlow Model Optimization's own; see `RampedSparsity`.
    """
    own = model_optimization().sparsity.keras
    if name == "constant" or span.end_step == span.begin_step:
        return own.ConstantSparsity(final, span.begin_step, span.end_step, span.frequency)
    if name == "polynomial":
        return own.PolynomialDecay(
            initial, final, span.begin_step, span.end_step, _POLYNOMIAL_POWER, span.frequency
        )
    return RampedSparsity(name, initial, final, span)


@dataclass(frozen=True)
class RampedSparsity:
    """A schedule with the interface of TensorFlow Model Optimization's.

    "exponential": every update removes the same share of the weights that are left,
        1 - (1 - initial) * ((1 - final) / (1 - initial)) ** progress.
    "one-cycle": slow, fast, slow; initial + (final - initial) * (1 + e^(6-14)) / (1 + e^(6-14p)),
        with p the progress (Hubens et al., "One-Cycle Pruning", 2021).

    progress: 0 at the begin step, 1 at the end step.

    >>> ramp = RampedSparsity("exponential", 0.0, 0.75, Span(1, 3, 1))
    >>> should_prune, sparsity = ramp(2)
    >>> bool(should_prune), round(float(sparsity), 6)
    (True, 0.5)
    """

    name: ScheduleName
    initial: float
    final: float
    span: Span

    def __call__(self, step: Any) -> tuple[Any, Any]:
        """Whether to update the masks in this step, and to which sparsity."""
        import tensorflow as tf

        span = self.span
        passed = tf.cast(step, tf.float32) - float(span.begin_step)
        progress = tf.clip_by_value(passed / (span.end_step - span.begin_step), 0.0, 1.0)
        step = tf.cast(step, tf.int64)
        is_within = tf.logical_and(step >= span.begin_step, step <= span.end_step)
        is_turn = tf.equal((step - span.begin_step) % span.frequency, 0)
        return tf.logical_and(is_within, is_turn), self._sparsity(progress)

    def get_config(self) -> dict[str, Any]:
        """What a saved model keeps: the constant schedule that goes on where this one ends."""
        return _holding(self.final, self.span.begin_step)

    def _sparsity(self, progress: Any) -> Any:
        import tensorflow as tf

        if self.name == "exponential":
            left = (1 - self.final) / (1 - self.initial)
            return 1 - (1 - self.initial) * tf.pow(left, progress)
        rise = (1 + math.exp(_OFFSET - _STEEPNESS)) / (1 + tf.exp(_OFFSET - _STEEPNESS * progress))
        return self.initial + (self.final - self.initial) * rise


class KernelSchedule:
    """The schedule of one kernel, which nobody knows before the training has a length.

    Until `follow` is called it prunes nothing, and holds whatever mask there is.

    calls: how often one step of training calls the layer. TensorFlow Model Optimization counts
        calls, so that a shared layer would run through its schedule too fast.
    """

    def __init__(self, target: float | None = None) -> None:
        self.target = target
        self.calls = 1
        self._followed: Callable[[Any], tuple[Any, Any]] | None = None
        self._share: Any | None = None

    def follow(self, schedule: Any, share: Any | None = None) -> None:
        """Go by a schedule that counts training steps.

        share: a scalar variable that holds this kernel's sparsity, where the schedule's own is
            that of the whole model.
        """
        self._followed, self._share = schedule, share

    def __call__(self, step: Any) -> tuple[Any, Any]:
        """Whether to update the mask in this call of the layer, and to which sparsity."""
        import tensorflow as tf

        if self._followed is None:
            return tf.constant(False), tf.constant(0.0)
        if self.calls > 1:
            step = (step + (self.calls - 1)) // self.calls
        should_prune, sparsity = self._followed(step)
        return should_prune, sparsity if self._share is None else self._share

    def get_config(self) -> dict[str, Any]:
        """That of the schedule it follows, so that TensorFlow Model Optimization can read it."""
        if self._followed is None:
            return _holding(self.target or 0.0, 0)
        return dict(self._followed.get_config())  # type: ignore[attr-defined]


def _holding(sparsity: float, begin_step: int) -> dict[str, Any]:
    own = model_optimization().sparsity.keras
    return dict(own.ConstantSparsity(sparsity, begin_step).get_config())


def _whole(steps: float) -> int:
    """Rounded down; 0.29 * 100 is 29, though floating point makes it 28.999…"""
    return math.floor(round(steps, 6))
