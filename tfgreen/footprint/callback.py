"""The meter as a Keras callback, for Keras 3 and tf_keras alike, without importing either."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tfgreen.footprint import stretch
from tfgreen.footprint.hooks import Hooks
from tfgreen.footprint.meter import Meter

if TYPE_CHECKING:
    from tfgreen.footprint.entry import Purpose
    from tfgreen.footprint.ledger import Ledger
    from tfgreen.footprint.stretch import Stretch


class MeterCallback(Hooks):
    """Measures each `fit`; `readings` holds one reading for each, in their order.

        watch = MeterCallback()
        model.fit(x, y, callbacks=[watch])
        print(watch.readings[-1])

    Args are those of `Meter`. A fit that raises has no reading.
    """

    def __init__(self, **meter: Any) -> None:
        self._meter = Meter(**meter)
        self.readings: list[Any] = []

    def on_train_begin(self, logs: Any = None) -> None:
        """Start, anew where an earlier fit raised."""
        if self._meter.is_running:
            self._meter.stop()
        self._meter.start()

    def on_train_end(self, logs: Any = None) -> None:
        """Stop, and keep the reading."""
        self.readings.append(self._meter.stop())


class StageCallback(Hooks):
    """Enters each `fit` into a ledger; made by `Ledger.callback`.

    The entry is brought up to date when an epoch ends and `CHECKPOINT_SECONDS` have passed since
    the last time. Of a fit that raises or is killed it holds what it held then.
    """

    def __init__(self, ledger: Ledger, stage: str, purpose: Purpose | None) -> None:
        self._ledger, self._stage, self._purpose = ledger, stage, purpose
        self._stretch: Stretch | None = None
        self._looked = 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        """Open a stretch."""
        if self._stretch is not None:  # the fit before raised
            self._stretch.meter.stop()
        self._looked = time.monotonic()
        self._stretch = self._ledger.begin(self._stage, purpose=self._purpose, meter=Meter())

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Enter what was spent so far."""
        now = time.monotonic()
        if self._stretch is not None and now - self._looked >= stretch.CHECKPOINT_SECONDS:
            self._looked = now
            self._stretch.look()

    def on_train_end(self, logs: Any = None) -> None:
        """Close the stretch."""
        if self._stretch is not None:
            self._stretch.end()
            self._stretch = None
