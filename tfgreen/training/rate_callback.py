"""Sets the learning rate: by the share that is done of the training, or of its budget."""

from __future__ import annotations

from typing import Any

from tfgreen.footprint.hooks import Hooks
from tfgreen.training.budget import Budget
from tfgreen.training.budget_callback import BudgetCallback
from tfgreen.training.metric import metric_for
from tfgreen.training.schedules import Plateau, ScheduleFunction


class RateCallback(Hooks):
    """Follows a schedule before each batch, in a `fit` of Keras 3 or tf_keras.

    What is further on counts: the steps that are done, or the share of the budget that is spent.
    """

    async_safe = False

    def __init__(
        self, schedule: ScheduleFunction, peak: float, budget: BudgetCallback | None = None
    ) -> None:
        self._schedule, self._peak, self._budget = schedule, peak, budget
        self._epoch, self._steps, self._seen = 0, 0, 0
        self._rate = -1.0

    def _implements_train_batch_hooks(self) -> bool:
        return True

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Learn the number of steps of an epoch, where nobody told it, from the first one."""
        self._steps = int(self.params.get("steps") or 0) or self._steps or self._seen
        self._epoch, self._seen = epoch, 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set the rate for this batch."""
        rate = self._peak * self._schedule(self.share(batch))
        if rate != self._rate:
            self.model.optimizer.learning_rate = self._rate = rate

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count."""
        self._seen = batch + 1

    def share(self, batch: int) -> float:
        """What is done before this batch of the epoch, 0 to 1."""
        epochs = max(1, int(self.params.get("epochs") or 1))
        within = min(1.0, batch / self._steps) if self._steps else 0.0
        done = (self._epoch + within) / epochs
        return min(1.0, max(done, self._budget.share if self._budget else 0.0))


class PlateauCallback(Hooks):
    """Lowers the rate where the metric of a budget gets no better."""

    def __init__(self, peak: float, budget: Budget) -> None:
        self._peak, self._budget = peak, budget
        self._plateau: Plateau | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Set the rate for the next epoch; one without an evaluation says nothing."""
        name = self._budget.metric
        if name is not None and name not in logs:
            return
        metric = metric_for(self.model, logs, name, self._budget.mode)
        if self._plateau is None:
            self._plateau = Plateau(more=metric.more)
        self.model.optimizer.learning_rate = self._peak * self._plateau.after(metric.of(logs))
