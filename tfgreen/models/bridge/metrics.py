"""Metrics of Keras 3 in tf_keras; the caller's metric objects are not updated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge.configs import parameters
from tfgreen.models.bridge.hosting import remember_class, remember_maker, remembered_class
from tfgreen.models.bridge.labels import labels_as_given
from tfgreen.models.keras2 import tf_keras

_metrics = tf_keras().metrics

# Resolved by the shapes of labels and outputs, in both flavours alike.
_RESOLVED_LATER = frozenset({"accuracy", "acc", "crossentropy", "ce"})


def metrics_twin(metrics: Any) -> Any:
    """Metrics in any structure that compile takes, as tf_keras's compile takes them."""
    if isinstance(metrics, Mapping):
        return {key: metrics_twin(part) for key, part in metrics.items()}
    if isinstance(metrics, (list, tuple)):
        return [metrics_twin(part) for part in metrics]
    if isinstance(metrics, str):
        if metrics in _RESOLVED_LATER or _is_known(metrics):
            return metrics
        metrics = keras.metrics.get(metrics)
    if isinstance(metrics, keras.metrics.Metric):
        return _native(metrics) or _hosted(metrics)
    if metrics is None or isinstance(metrics, _metrics.Metric):
        return metrics
    return _of_function(metrics)


def _is_known(name: str) -> bool:
    try:
        _metrics.get(name)
    except ValueError:
        return False
    return True


def _native(metric: Any) -> Any:
    kind = type(metric)
    same = getattr(_metrics, kind.__name__, None)
    if same is None or getattr(keras.metrics, kind.__name__, None) is not kind:
        return None
    accepted, defaults = parameters(same), parameters(kind)
    config = {k: v for k, v in metric.get_config().items() if k != "dtype"}
    if any(k not in accepted and v != defaults.get(k) for k, v in config.items()):
        return None
    try:
        return same(**{k: v for k, v in config.items() if k in accepted})
    except (TypeError, ValueError):
        return None


def _hosted(metric: Any) -> Any:
    try:
        return Keras3Metric(remember_class(type(metric)), metric.get_config(), name=metric.name)
    except (NotImplementedError, TypeError, ValueError) as error:
        raise UnsupportedModelError(
            f"The metric {type(metric).__name__} '{metric.name}' cannot be made again from its "
            f"config ({error}). Give it a get_config that returns the arguments of its constructor."
        ) from error


def _of_function(function: Any) -> Any:
    """A function of the caller's own, averaged by Keras 3 as it does."""
    name = getattr(function, "__name__", type(function).__name__)

    def make() -> Any:
        return keras.metrics.MeanMetricWrapper(function, name=name)

    return Keras3Metric(remember_maker(function, make), {}, name=name)


@tf_keras().saving.register_keras_serializable(package="tfgreen")
class Keras3Metric(tf_keras().metrics.Metric):  # type: ignore[misc]
    """A Keras 3 metric of a kind that tf_keras does not have, with a state of its own."""

    def __init__(self, metric: str, configuration: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._names = {"metric": metric, "configuration": configuration}
        self.__dict__["_hosted"] = remembered_class(metric).from_config(dict(configuration))

    @property
    def hosted(self) -> Any:
        """The Keras 3 metric that counts."""
        return vars(self)["_hosted"]

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count one batch."""
        y_true = labels_as_given(y_true, y_pred)
        self.hosted.update_state(y_true, y_pred, sample_weight=sample_weight)

    def result(self) -> Any:
        """The value over all batches since the last reset."""
        return self.hosted.result()

    def reset_state(self) -> None:
        """Forget all batches."""
        self.hosted.reset_state()

    def get_config(self) -> dict[str, Any]:
        """The key of the class and its config."""
        return {**super().get_config(), **self._names}
