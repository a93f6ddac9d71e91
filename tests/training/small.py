"""A small task, models of both flavours for it, and a meter that is told what it reads."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfgreen.footprint.amounts import Amount
from tfgreen.footprint.meter import Meter
from tfgreen.footprint.reading import Part, Reading
from tfgreen.models.keras2 import tf_keras
from tfgreen.training.budget import Budget
from tfgreen.training.budget_callback import BudgetCallback

_random = np.random.default_rng(0)
X = _random.normal(size=(96, 4)).astype("float32")
Y = (X[:, 0] > 0).astype("int32")
VALIDATION = (X[:32], Y[:32])
BATCH_SIZE = 16
STEPS = 6


def package(name: str) -> Any:
    return keras if name == "keras" else tf_keras()


def model_of(name: str, *, compiled: bool = True, units: int = 4) -> Any:
    layers = package(name).layers
    model = package(name).Sequential(
        [layers.Input((4,)), layers.Dense(units, "relu"), layers.Dense(2, "softmax")]
    )
    if compiled:
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class FakeMeter(Meter):
    """Reads what it was told: joules, processor seconds and seconds since the start."""

    def __init__(self) -> None:
        super().__init__(source="model")
        self.joules = self.cpu_seconds = self.seconds = 0.0
        self.looks = 0
        self._runs = False

    def spend(self, joules: float = 0, cpu_seconds: float = 0, seconds: float = 0) -> None:
        self.joules += joules
        self.cpu_seconds += cpu_seconds
        self.seconds += seconds

    @property
    def is_running(self) -> bool:
        return self._runs

    @property
    def reading(self) -> Reading:
        self.looks += 1
        part = Part(
            hardware="processor",
            source="model",
            method="modelled",
            joules=Amount.exactly(self.joules),
            how="told",
        )
        return Reading(parts=(part,), cpu_seconds=self.cpu_seconds, wall_seconds=self.seconds)

    def start(self, every: Any = None, seconds: float = 10.0) -> Meter:
        self.joules = self.cpu_seconds = self.seconds = 0.0
        self._runs = True
        return self

    def stop(self) -> Reading:
        self._runs = False
        return self.reading


def spending(meter: FakeMeter, **for_each_batch: float) -> Any:
    """A callback, to be put before a budget's, that spends with every batch."""
    from tfgreen.footprint.hooks import Hooks

    class Spend(Hooks):
        async_safe = False

        def _implements_train_batch_hooks(self) -> bool:
            return True

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            meter.spend(**for_each_batch)

    return Spend()


def watching(budget: Budget, meter: FakeMeter) -> BudgetCallback:
    """The callback of a budget that looks after every batch: by its clock looking takes no time."""
    return BudgetCallback(budget, meter, clock=lambda: 0.0)
