"""Learning rates along the training, as functions of the share of it that is done.

A share, not a step: where a budget ends the training, the share of the budget that is spent drives
the rate, so that it has come down when the budget is used up. A rate that falls over the budget
that there is beats one made for a longer training and cut off (Li, Yumer & Ramanan, "Budgeted
Training", ICLR 2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MappingProxyType

from tfgreen.errors import UnknownNameError, UsageError

WARM_UP = 0.05
ONE_CYCLE_RISE = 0.3
_ONE_CYCLE_START = 1 / 25
_ONE_CYCLE_END = 1e-4

ScheduleFunction = Callable[[float], float]


def constant(share: float) -> float:
    """Always the peak."""
    return 1.0


def cosine(share: float) -> float:
    """Linear warm-up over the first 5 %, then half a cosine down to 0.

    Loshchilov & Hutter, "SGDR" (ICLR 2017), without restarts.

    >>> cosine(0.025), cosine(0.05), round(cosine(0.525), 3), cosine(1.0)
    (0.5, 1.0, 0.5, 0.0)
    """
    if share < WARM_UP:
        return share / WARM_UP
    return _fall((share - WARM_UP) / (1 - WARM_UP))


def one_cycle(share: float) -> float:
    """Up from 1/25 over the first 30 %, then down to 1e-4, both along half a cosine.

    Smith & Topin, "Super-Convergence" (arXiv:1708.07120), in the form of fastai and PyTorch's
    `OneCycleLR`; the momentum stays as it is.

    >>> round(one_cycle(0.0), 6), one_cycle(0.3), round(one_cycle(1.0), 6)
    (0.04, 1.0, 0.0001)
    """
    if share < ONE_CYCLE_RISE:
        return 1 + (_ONE_CYCLE_START - 1) * _fall(share / ONE_CYCLE_RISE)
    down = _fall((share - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE))
    return _ONE_CYCLE_END + (1 - _ONE_CYCLE_END) * down


def _fall(share: float) -> float:
    """Half a cosine from 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * min(max(share, 0.0), 1.0)))


PLATEAU = "reduce-on-plateau"
FUNCTIONS = MappingProxyType({"constant": constant, "cosine": cosine, "one-cycle": one_cycle})
NAMES = (*FUNCTIONS, PLATEAU)


def function_of(name: str) -> ScheduleFunction | None:
    """The schedule of that name; None for the one that waits for plateaus.

    Raises UnknownNameError.
    """
    if name not in NAMES:
        raise UnknownNameError("schedule", name, NAMES)
    return FUNCTIONS.get(name)


class Plateau:
    """Lowers the rate whenever the metric has not become better for some epochs.

    As Keras's `ReduceLROnPlateau`: times `factor` after `patience` epochs without a gain of more
    than 1e-4, never below `least` of the peak.

    >>> plateau = Plateau(patience=2)
    >>> [plateau.after(loss) for loss in (1.0, 0.9, 0.95, 0.91, 0.92)]
    [1.0, 1.0, 1.0, 0.5, 0.5]
    """

    def __init__(
        self, factor: float = 0.5, patience: int = 3, least: float = 1e-3, more: bool = False
    ) -> None:
        if not 0 < factor < 1 or patience < 1:
            raise UsageError(
                f"Received factor={factor:g} and patience={patience}; expected a factor between "
                "0 and 1, and 1 epoch or more."
            )
        self._factor, self._patience, self._least = factor, patience, least
        self._sign = -1.0 if more else 1.0
        self._best, self._waited, self._value = math.inf, 0, 1.0

    def after(self, metric: float) -> float:
        """The factor of the rate for the next epoch, told the metric of the last."""
        if self._sign * metric < self._best - 1e-4:
            self._best, self._waited = self._sign * metric, 0
        else:
            self._waited += 1
        if self._waited >= self._patience:
            self._value, self._waited = max(self._least, self._value * self._factor), 0
        return self._value
