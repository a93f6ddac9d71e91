"""Does XLA make the steps of this training cheaper? Measured on some of them, not assumed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tfgreen.errors import UsageError

ROUNDS = 5
STEPS_A_ROUND = 4
LEAST_SECONDS = 20.0
"""A training of less is not worth compiling a second step for."""


@dataclass(frozen=True)
class JitChoice:
    """Whether to compile with XLA, and the figures that decided it, as a sentence."""

    jit_compile: bool
    note: str


@dataclass(frozen=True)
class StepCost:
    """Seconds of the first step, which is traced and compiled, and of a later one (median)."""

    first: float
    later: float


def check(jit_compile: object) -> None:
    """Raise UsageError for what is neither of True, False, None and "measure"."""
    if not (isinstance(jit_compile, bool | None) or jit_compile == "measure"):
        raise UsageError(
            f"Received jit_compile={jit_compile!r}; expected True, False, 'measure', or None to "
            "leave it to Keras."
        )


def measured_choice(model: Any, batches: Callable[[], Any] | None, steps: int | None) -> JitChoice:
    """What a short, interleaved trial says.

    Args:
        model: compiled. It is left with the weights, the optimizer state and the statistics that
            it had, and has to be compiled again.
        batches: gives a tf.data.Dataset that does not end, or None where data cannot be tried.
        steps: of the whole training, if they are known.
    """
    if batches is None or steps is None:
        return JitChoice(False, "XLA was not tried: the data cannot be looked at beforehand.")
    return _measured(model, iter(batches()), steps)


def _measured(model: Any, batches: Iterator[Any], steps: int) -> JitChoice:
    from tensorflow.errors import OpError

    clock, kind = _clock()
    if not model.built:
        _build(model, next(batches))
    with state_kept(model):
        try:
            plain = _step(model, False)
            plain_first = _timed(plain, batches, clock)
            later = statistics.median(_timed(plain, batches, clock) for _ in range(ROUNDS))
            if later * steps < LEAST_SECONDS:
                return JitChoice(
                    False,
                    f"XLA was not tried: {steps:,} steps of {later * 1000:.3g} ms of {kind} are "
                    "too short a training to gain from it.",
                )
            compiled = _step(model, True)
            jit_first = _timed(compiled, batches, clock)
            costs = _interleaved((plain, compiled), batches, clock)
        except (ValueError, TypeError, RuntimeError, OpError) as error:  # what XLA refuses
            reason = (str(error).splitlines() or [""])[0][:120]
            return JitChoice(False, f"XLA is off: the trial failed ({reason}).")
    return decide(StepCost(plain_first, costs[0]), StepCost(jit_first, costs[1]), steps, kind)


def decide(plain: StepCost, jit: StepCost, steps: int, kind: str) -> JitChoice:
    """The cheaper of the two over a training; XLA compiles twice, for a last, smaller batch too.

    >>> decide(StepCost(0.5, 0.010), StepCost(6.0, 0.006), 1000, "processor time").jit_compile
    False
    >>> decide(StepCost(0.5, 0.010), StepCost(6.0, 0.006), 9000, "processor time").jit_compile
    True
    """
    without = plain.first + steps * plain.later
    within = 2 * jit.first + steps * jit.later
    verdict = "on" if within < without else "off"
    return JitChoice(
        within < without,
        f"XLA is {verdict}: a step took {jit.later * 1000:.3g} ms of {kind} with it and "
        f"{plain.later * 1000:.3g} without, its compilation {jit.first:.3g} s, so that {steps:,} "
        f"steps would take {within:.3g} s with it and {without:.3g} s without.",
    )


def _build(model: Any, batch: Any) -> None:
    """Make the variables of a model that waits for its first batch."""
    model(batch[0] if isinstance(batch, tuple) else batch)


def _step(model: Any, jit_compile: bool) -> Callable[[Any], Any]:
    model.jit_compile = jit_compile
    model.make_train_function(force=True)
    return model.train_function  # type: ignore[no-any-return]


def _interleaved(
    variants: Sequence[Callable[[Any], Any]], batches: Iterator[Any], clock: Callable[[], float]
) -> list[float]:
    """Median seconds of a step of each; they take turns, each round the other way round."""
    seconds: list[list[float]] = [[] for _ in variants]
    for number in range(ROUNDS):
        order = range(len(variants)) if number % 2 else reversed(range(len(variants)))
        for index in order:
            seconds[index] += [
                _timed(variants[index], batches, clock) for _ in range(STEPS_A_ROUND)
            ]
    return [statistics.median(one) for one in seconds]


def _timed(step: Callable[[Any], Any], batches: Iterator[Any], clock: Callable[[], float]) -> float:
    began = clock()
    logs = step(batches)
    for value in logs.values() if isinstance(logs, dict) else ():
        float(value)  # wait for it
    return clock() - began


def _clock() -> tuple[Callable[[], float], str]:
    """Processor time, which others on the machine disturb less; with a GPU, wall time."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return time.perf_counter, "wall time"
    return time.process_time, "processor time"


@contextmanager
def state_kept(model: Any) -> Iterator[None]:
    """Put weights, optimizer state and metrics back at the end, whatever happened."""
    optimizer = model.optimizer
    if not getattr(optimizer, "built", getattr(optimizer, "_built", True)):
        optimizer.build(model.trainable_variables)
    states = optimizer.variables
    variables = [*model.variables, *(states() if callable(states) else states)]
    before = [(variable, variable.numpy().copy()) for variable in variables]
    try:
        yield
    finally:
        for variable, value in before:
            variable.assign(value)
        model.reset_metrics()
