"""Tells how far a stage is: the epoch, its figures, joules so far, and the time left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfgreen.footprint.ledger import Ledger
from tfgreen.footprint.wording import amount_text, seconds_text
from tfgreen.pipeline.epochs import EpochDone

if TYPE_CHECKING:
    from tfgreen.pipeline.run import Run


class EpochClock:
    """The progress of one stage of a run.

    meter: of the stage, once it runs. seconds_per_sample: of the last epoch.
    """

    def __init__(self, run: Run, number: int, ledger: Ledger) -> None:
        self.meter: Any = None
        self.seconds_per_sample: float | None = None
        self._run, self._number = run, number
        self._before = run.joules + ledger.total().joules

    def epoch_done(self, done: EpochDone) -> None:
        """Tell of an epoch."""
        stage = self._run.recipe.stages[self._number]
        told = [f"{name} {value:.4g}" for name, value in done.figures.items() if value is not None]
        joules = self._before + self.meter.reading.joules
        left = done.seconds * (done.epochs - done.epoch)
        line = f"{stage.name}: epoch {done.epoch} of {done.epochs}, {', '.join(told)}, "
        line += f"{amount_text(joules, 'J')} so far, about {seconds_text(left)} left of the stage"
        self._run.on_progress(line, done.epoch, done.epochs)
        if self._run.data.samples is not None:
            self.seconds_per_sample = done.seconds / len(self._run.data.samples)
