"""What is told and noted after every epoch of a stage, and the seeds that the next begins with."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tfgreen.errors import UsageError
from tfgreen.footprint.hooks import Hooks
from tfgreen.pipeline.determinism import Randomness, seed_of
from tfgreen.pipeline.snapshots import Snapshot, snapshot_of
from tfgreen.recipe import Stage

if TYPE_CHECKING:
    from tfgreen.pipeline.stage_training import StageOrder

History = dict[str, list[float | None]]


@dataclass(frozen=True)
class EpochDone:
    """An epoch as progress shows it: counted from 1, with its figures by name."""

    epoch: int
    epochs: int
    figures: dict[str, float | None]
    seconds: float


@dataclass
class Notebook:
    """How the training tells where it is, and where it begins.

    unfinished: the snapshot of an earlier, killed run.
    note: called with a snapshot after every epoch but the last.
    tell: called after every epoch.
    """

    unfinished: Snapshot | None = None
    note: Callable[[Snapshot], None] = field(default=lambda snapshot: None)
    tell: Callable[[EpochDone], None] = field(default=lambda done: None)


class EpochWatch(Hooks):
    """Seeds every epoch at its beginning; at its end tells of it, and notes where training is."""

    def __init__(
        self, order: StageOrder, notebook: Notebook, wrapped: Any, history: History
    ) -> None:
        self._order, self._notebook, self._history = order, notebook, history
        self._wrapped = wrapped
        self._randomness = Randomness(wrapped)
        self._began = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Randomness that depends on the seed, the stage and the epoch, and on nothing before."""
        self._began = time.monotonic()
        seed = seed_of(self._order.seed, self._order.number, "random", epoch)
        self._randomness.begin_epoch(self._wrapped, seed)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keep the figures; all but the last epoch are noted."""
        figures = {name: _finite(value) for name, value in (logs or {}).items()}
        if figures.get("loss", 0.0) is None:
            raise _diverged(self._order.stage, epoch + 1)
        for name, value in figures.items():
            self._history.setdefault(name, []).append(value)
        epochs = self._order.stage.epochs
        if epoch + 1 < epochs:
            self._notebook.note(snapshot_of(self._wrapped, epoch + 1, self._history))
        seconds = time.monotonic() - self._began
        self._notebook.tell(EpochDone(epoch + 1, epochs, figures, seconds))


def _diverged(stage: Stage, epoch: int) -> UsageError:
    return UsageError(
        f"The loss of stage '{stage.name}' is NaN or infinite in epoch {epoch}: the training went "
        f"astray. Lower its learning rate (it is {stage.learning_rate:g}), or look for NaN among "
        "the training data and the weights."
    )


def _finite(value: Any) -> float | None:
    number = float(np.asarray(value))
    return number if math.isfinite(number) else None
