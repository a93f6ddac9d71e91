"""The callback of a `Budget`: it looks what was spent, stops in time and tells why."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tfgreen.footprint.hooks import Hooks
from tfgreen.footprint.meter import Meter
from tfgreen.models.loading import flavour_of
from tfgreen.training.learning_curve import LEAST_EPOCHS, Gain, predicted_gain
from tfgreen.training.metric import Metric, metric_for, missing
from tfgreen.training.spending import Spent
from tfgreen.wording import share_text

if TYPE_CHECKING:
    from tfgreen.footprint.reading import Reading
    from tfgreen.training.budget import Budget

LOOKING_SHARE = 0.02
"""Of the time of training, what looking at the meter after batches may take."""


class BudgetCallback(Hooks):
    """Stops a `fit` of Keras 3 or tf_keras by the rules of a budget; made by `Budget.callback`.

    The meter is looked at after each batch, but no more often than takes 2 % of the time, so that
    a limit is overshot by a batch or by fifty times what a look takes (some milliseconds in all).

    Attributes:
        stopped: why training ended, in one sentence; None while it runs, and where it ran to
            its last epoch.
        readings: one for each fit. best, best_epoch: the best value of the metric, and its epoch
            from 1 on; None before the first.
        keeps_best: whether the weights of the best epoch come back. Not those of a model that
            is being pruned: an earlier epoch has fewer zeros.
        last_epoch: the one that runs or ran last, from 1 on.
        gain: what the learning curve told after the last epoch, if it was asked.
    """

    async_safe = False  # a batch that is over the limit has to stop the next one

    def __init__(
        self,
        budget: Budget,
        meter: Meter | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.budget = budget
        self.stopped: str | None = None
        self.readings: list[Reading] = []
        self.metric: Metric | None = None
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.gain: Gain | None = None
        self._clock, self._meter = clock, meter or Meter()
        self._before = Spent()
        self._curve: list[tuple[float, Spent]] = []
        self._best_weights: list[Any] | None = None
        self.keeps_best = budget.restore_best
        self.last_epoch = 0
        self._kept_back, self._test_began = Spent(), Spent()
        self._now, self._next_look = Spent(), 0.0
        self._evaluated = self._has_batches = False
        self._logs: dict[str, Any] = {}

    def _implements_train_batch_hooks(self) -> bool:
        return True

    @property
    def spent(self) -> Spent:
        """What all fits of this callback have taken so far."""
        if self._meter.is_running:
            self._now = self._before + Spent.of(self._meter.reading)
        return self._now

    @property
    def share(self) -> float:
        """The share of the tightest limit that was spent at the last look; 0 without limits."""
        return self.budget.share(self._now + self._kept_back)[0]

    def on_train_begin(self, logs: Any = None) -> None:
        """Start to measure; what an earlier fit that raised has spent stays spent."""
        if self._meter.is_running:
            self._end_reading()
        self.stopped, self.metric, self.best, self.best_epoch = None, None, None, None
        self.gain, self._curve, self._best_weights, self._logs = None, [], None, {}
        self.keeps_best = self.budget.restore_best and not _grows_sparser(self.model)
        self._next_look = -math.inf
        self._meter.start()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stop where a limit is used up."""
        self._has_batches = True
        before = self._clock()
        if before < self._next_look:
            return
        self._refuse_overspending("in")
        after = self._clock()
        self._next_look = after + (after - before) / LOOKING_SHARE

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Remember which epoch it is, from 1 on."""
        self.last_epoch, self._evaluated, self._has_batches = epoch + 1, False, False

    def on_test_begin(self, logs: Any = None) -> None:
        """Remember what was spent before the evaluation."""
        self._test_began = self.spent

    def on_test_end(self, logs: Any = None) -> None:
        """Keep back what the evaluation took, for the next one."""
        self._evaluated = True
        if self._meter.is_running:
            self._kept_back = self.spent - self._test_began

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep the best weights, and apply every rule."""
        logs = self._logs = dict(logs or {})
        if not self._has_batches:
            self._stop("the data gave no batch", "in")
            return
        self._refuse_overspending("after")
        if self.stopped is None and not math.isfinite(float(logs.get("loss", 0.0))):
            self._stop(f"the loss is no finite number any more ({logs['loss']})")
        if self._needs_metric() and (self._evaluated or not self._waits_for_evaluation()):
            self._follow(logs)

    def on_train_end(self, logs: Any = None) -> None:
        """Stop to measure, and put the best weights back.

        Raises UsageError where the metric waits for an evaluation, and there was none.
        """
        self.close()
        if self.budget.metric is not None and self.metric is None and self._logs:
            raise missing(self.budget.metric, self._logs)

    def close(self) -> None:
        """Stop to measure, and put the best weights back; for a fit that raised, too."""
        if self._meter.is_running:
            self._end_reading()
        if self._best_weights is not None:
            self.model.set_weights(self._best_weights)
            self._best_weights = None

    def _waits_for_evaluation(self) -> bool:
        """Not every epoch has one, with `validation_freq`."""
        return self.budget.metric is not None and self.budget.metric.startswith("val_")

    def _needs_metric(self) -> bool:
        budget = self.budget
        rules = (budget.metric, budget.target, budget.least_gain_per_joule)
        return budget.restore_best or any(rule is not None for rule in rules)

    def _follow(self, logs: dict[str, Any]) -> None:
        """What the metric of this epoch says."""
        if self.metric is None:
            self.metric = metric_for(self.model, logs, self.budget.metric, self.budget.mode)
        value = self.metric.of(logs)
        if self.metric.is_better(value, self.best):
            self.best, self.best_epoch = value, self.last_epoch
            if self.keeps_best:
                self._best_weights = self.model.get_weights()
        target = self.budget.target
        if target is not None and self.metric.reaches(value, target):
            self._stop(f"{self.metric.name} is {value:.4g}, which reaches the target {target:g}")
        if self.budget.least_gain_per_joule is not None and math.isfinite(value):
            self._curve.append((self.metric.upwards(value), self._now))
            self._ask_curve(self.metric, self.budget.least_gain_per_joule)

    def _ask_curve(self, metric: Metric, least: float) -> None:
        if len(self._curve) < LEAST_EPOCHS or self.stopped is not None:
            return
        joules = (self._curve[-1][1].joules - self._curve[0][1].joules) / (len(self._curve) - 1)
        self.gain = predicted_gain([value for value, _ in self._curve])
        most = self.gain.at_most(self.budget.confidence)
        if joules > 0 and most / joules < least:
            self._stop(
                f"another epoch would gain {self.gain.expected:.2g} of {metric.name} (at most "
                f"{most:.2g} with a probability of {share_text(self.budget.confidence, 0)}) for "
                f"{joules:.3g} J, less than {least:g} per joule"
            )

    def _refuse_overspending(self, when: str) -> None:
        share, limit = self.budget.share(self.spent + self._kept_back)
        if share >= 1 and self.stopped is None:
            self._stop(f"the budget of {limit} is spent", when)

    def _stop(self, why: str, when: str = "after") -> None:
        self.stopped = f"Stopped {when} epoch {self.last_epoch}: {why}."
        self.model.stop_training = True

    def _end_reading(self) -> None:
        self.readings.append(self._meter.stop())
        self._before = self._now = self._before + Spent.of(self.readings[-1])


def _grows_sparser(model: Any) -> bool:
    if flavour_of(model) == "keras3":
        return False
    from tfgreen.models.keras2 import is_being_pruned

    return is_being_pruned(model)
