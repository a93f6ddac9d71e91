"""`Budget`: how much a training may spend, and what it has to bring for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Literal

from tfgreen.errors import UnknownNameError, UsageError
from tfgreen.footprint.grid import GridFactor, grid_factor
from tfgreen.footprint.rates import JOULES_PER_KWH
from tfgreen.training.spending import Spent

if TYPE_CHECKING:
    from tfgreen.footprint.meter import Meter
    from tfgreen.training.budget_callback import BudgetCallback

_LIMITS = ("joules", "grams", "seconds", "cpu_seconds")
_MODES = ("auto", "max", "min")


def is_finite(value: object) -> bool:
    """Whether it is a finite number, and not a bool.

    >>> is_finite(1), is_finite(float("nan")), is_finite("1"), is_finite(True)
    (True, False, False, False)
    """
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True, kw_only=True)
class Budget:
    """When to stop training: what is spent, what is reached, and what another epoch would gain.

    Everything is optional, and the first rule that holds ends the training. Energy is that of
    `tg.Meter`, its typical value: measured where there is a meter, else modelled. What the next
    evaluation of `validation_data` will take is kept back.

    Args:
        joules: energy. grams: of CO2e; needs `region` or `grams_per_kwh`.
        seconds: of wall time. cpu_seconds: of processor time, children included.
        region, grams_per_kwh: the grid's carbon: an ISO 3166-1 alpha-3 code, or a number.
        metric: a key of the history, as "val_accuracy": for `target`, for
            `least_gain_per_joule` and for the best weights. By default val_loss, or loss where
            nothing is evaluated.
        mode: whether "max" or "min" of the metric is better; "auto" by its name and kind.
        target: stop when the metric is there.
        least_gain_per_joule: in units of the metric. Stop when another epoch would bring less
            with a probability of `confidence`, by the learning curve so far
            (`tfgreen.training.learning_curve`); asked from the fifth epoch on.
        restore_best: put back the weights of the best epoch at the end.

    Raises:
        UsageError: a limit that is not above 0, grams without a grid, an unknown region.

    >>> Budget(joules=-1)
    Traceback (most recent call last):
    ...
    tfgreen.errors.UsageError: Received joules=-1; expected a number above 0, or None for no limit.
    """

    joules: float | None = None
    grams: float | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    region: str | None = None
    grams_per_kwh: float | None = None
    metric: str | None = None
    mode: Literal["auto", "max", "min"] = "auto"
    target: float | None = None
    least_gain_per_joule: float | None = None
    confidence: float = 0.9
    restore_best: bool = True

    def __post_init__(self) -> None:
        for name in (*_LIMITS, "least_gain_per_joule"):
            value = getattr(self, name)
            if value is not None and not (is_finite(value) and value > 0):
                raise UsageError(
                    f"Received {name}={value!r}; expected a number above 0, or None for no limit."
                )
        if self.mode not in _MODES:
            raise UnknownNameError("mode of a metric", self.mode, _MODES)
        if not (is_finite(self.confidence) and 0.5 <= self.confidence < 1):
            raise UsageError(
                f"Received confidence={self.confidence!r}; expected a probability from 0.5 to "
                "below 1."
            )
        if self.target is not None and not is_finite(self.target):
            raise UsageError(f"Received target={self.target!r}; expected a finite number.")
        if self.target is not None and self.metric is None:
            raise UsageError(
                f"Received target={self.target:g} without the metric that has to reach it. Name "
                'it, as metric="val_accuracy".'
            )
        self._check_grid()

    def _check_grid(self) -> None:
        if self.grid is None and self.grams is not None:
            raise UsageError(
                f"Received grams={self.grams:g} and no grid. Name the country, as region='DEU', "
                "or give grams_per_kwh."
            )
        if self.grid is not None and self.grams is None:
            raise UsageError(
                f"Received a grid ({self.grid}) and no limit in grams. Give grams, or leave the "
                "grid out."
            )

    @property
    def grid(self) -> GridFactor | None:
        """The grid's carbon intensity; None where none is named."""
        return grid_factor(self.region, self.grams_per_kwh)

    def share(self, spent: Spent) -> tuple[float, str]:
        """The largest share of a limit that is spent, and that limit in words.

        0 and "" where nothing is limited.

        >>> Budget(joules=100, seconds=60).share(Spent(joules=40, cpu_seconds=9, seconds=30))
        (0.5, '60 s of wall time')
        """
        shares = [(amount / limit, words) for limit, amount, words in self._limits(spent) if limit]
        return max(shares, default=(0.0, ""))

    def _limits(self, spent: Spent) -> list[tuple[float | None, float, str]]:
        grid = self.grid
        grams = spent.joules / JOULES_PER_KWH * grid.grams_per_kwh if grid else 0.0
        return [
            (self.joules, spent.joules, f"{self.joules} J"),
            (self.grams, grams, f"{self.grams} g CO2e at {grid}"),
            (self.seconds, spent.seconds, f"{self.seconds} s of wall time"),
            (self.cpu_seconds, spent.cpu_seconds, f"{self.cpu_seconds} s of processor time"),
        ]

    def callback(self, meter: Meter | None = None) -> BudgetCallback:
        """A callback for `fit` of Keras 3 and of tf_keras.

        One object that goes into several fits counts them together; take a new one for a new
        budget. meter: one that does not run; a new one by default.
        """
        from tfgreen.training.budget_callback import BudgetCallback

        return BudgetCallback(self, meter)
