"""Whether more or less of a metric is better."""

from __future__ import annotations

from typing import Any, Literal

import keras

from tfgreen.models.bridge.configs import parameters


def direction_of(model: Any, monitor: str) -> Literal["max", "min"] | None:
    """What a callback should wait for in a metric of a tf_keras model; None where unknown.

    monitor: a key of the logs, such as "val_accuracy".
    """
    name = monitor.removeprefix("val_")
    for metric in getattr(model, "metrics", ()):
        if metric.name == name:
            direction = getattr(_keras3_metric(metric), "_direction", None)
            return {"up": "max", "down": "min"}.get(direction)  # type: ignore[return-value,arg-type]
    return None


def _keras3_metric(metric: Any) -> Any:
    """Keras 3's metric of the same meaning: it knows its direction."""
    if hasattr(metric, "hosted"):
        return metric.hosted
    same = getattr(keras.metrics, type(metric).__name__, None)
    if same is not None and same is not keras.metrics.MeanMetricWrapper:
        config = metric.get_config()
        return same(**{k: v for k, v in config.items() if k in parameters(same) and k != "dtype"})
    function = getattr(getattr(metric, "_fn", None), "__name__", "")
    try:
        return keras.metrics.get(function)
    except ValueError:
        return None
