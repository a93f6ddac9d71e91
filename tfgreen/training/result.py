"""`FitResult`: what `tg.fit` gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfgreen.footprint.entry import Entry


@dataclass(frozen=True)
class FitResult:
    """What a training came to.

    Attributes:
        history: of each epoch, by name, as Keras's own `History.history`.
        stopped: why it ended, in one sentence.
        entry: what it took, trials included, as the ledger keeps it.
        metric: the key of the history that chose the best epoch.
        best, best_epoch: its best value and when that was, from 1 on; None where no epoch ended
            with a finite value.
        epochs: how many were begun.
        notes: what was decided along the way, with the figures that decided it.
    """

    history: Mapping[str, list[Any]]
    stopped: str
    entry: Entry
    metric: str
    best: float | None
    best_epoch: int | None
    epochs: int
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [self.stopped]
        if self.best is not None:
            lines.append(f"Best {self.metric}: {self.best:.4g}, in epoch {self.best_epoch}.")
        lines += self.notes
        return "\n".join([*lines, f"Took {self.entry.reading.sentence()}."])
