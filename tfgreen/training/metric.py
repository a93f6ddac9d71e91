"""The metric that a training is steered by: its name in the history, and which way is better."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tfgreen.errors import UsageError
from tfgreen.models.loading import flavour_of

_MORE = ("acc", "auc", "precision", "recall", "f1", "iou", "r2", "cosine_similarity")
_LESS = ("loss", "error", "mse", "mae", "rmse", "perplexity", "crossentropy", "divergence")


@dataclass(frozen=True)
class Metric:
    """A key of the history, and whether more of it is better."""

    name: str
    more: bool

    def of(self, logs: Mapping[str, Any]) -> float:
        """Its value after an epoch. Raises UsageError where the history does not have it."""
        if self.name not in logs:
            raise missing(self.name, logs)
        return float(logs[self.name])

    def is_better(self, value: float, than: float | None) -> bool:
        """Whether a value is finite and better; anything finite is better than None."""
        if not math.isfinite(value):
            return False
        return than is None or (value > than if self.more else value < than)

    def reaches(self, value: float, target: float) -> bool:
        """Whether a value is as good as the target."""
        return value >= target if self.more else value <= target

    def upwards(self, value: float) -> float:
        """The value, or its negative where less is better."""
        return value if self.more else -value


def metric_for(
    model: Any, logs: Mapping[str, Any], name: str | None, mode: Literal["auto", "max", "min"]
) -> Metric:
    """The metric of that name, or val_loss, or loss.

    Raises UsageError where the history does not have it, and where nothing tells its direction.
    """
    chosen = name or ("val_loss" if "val_loss" in logs else "loss")
    if chosen not in logs:
        raise missing(chosen, logs)
    if mode != "auto":
        return Metric(chosen, mode == "max")
    more = _more_is_better(model, chosen)
    if more is None:
        raise UsageError(
            f"Nothing tells whether more or less of '{chosen}' is better. Say mode='max' or "
            "mode='min'."
        )
    return Metric(chosen, more)


def missing(name: str, logs: Mapping[str, Any]) -> UsageError:
    """What to raise for a metric that is not in the history."""
    close = difflib.get_close_matches(name, list(logs), n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    evaluated = any(key.startswith("val_") for key in logs)
    data = "" if evaluated or not name.startswith("val_") else ", or give validation_data"
    return UsageError(
        f"The history has no '{name}'.{hint} It has: {', '.join(sorted(logs))}. Name one of "
        f"those, or compile the model with that metric{data}."
    )


def _more_is_better(model: Any, name: str) -> bool | None:
    plain = name.removeprefix("val_")
    if plain == "loss" or plain.endswith("_loss"):
        return False
    known = _direction(model, plain)
    if known is not None:
        return known
    if any(word in plain for word in _LESS):
        return False
    return True if any(word in plain for word in _MORE) else None


def _direction(model: Any, name: str) -> bool | None:
    """What the metric itself says."""
    if flavour_of(model) == "keras2":
        from tfgreen.models.bridge.directions import direction_of

        direction = direction_of(model, name)
        return None if direction is None else direction == "max"
    for metric in _inner(model.metrics):
        if metric.name == name:
            told = getattr(metric, "_direction", None)
            return None if told is None else told == "up"
    return None


def _inner(metrics: Any) -> Iterator[Any]:
    """Metrics of Keras 3, also those that the container of `compile` holds."""
    for metric in metrics:
        yield metric
        yield from _inner(getattr(metric, "metrics", ()))
