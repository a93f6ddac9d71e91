"""Optimizers and learning-rate schedules of Keras 3 in tf_keras, and the other way."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge.configs import parameters
from tfgreen.models.bridge.hosted_optimizer import Keras3Optimizer, settings_of
from tfgreen.models.bridge.hosting import remember_class, remember_object, remembered_class
from tfgreen.models.keras2 import tf_keras

_schedules = tf_keras().optimizers.schedules

# tf_keras's Nadam multiplies its momentum product once for each variable instead of once a step.
_COMPUTED_OTHERWISE = frozenset({"Nadam"})


def optimizer_twin(optimizer: Any) -> Any:
    """A new tf_keras optimizer of the same kind and settings, without state.

    tf_keras's own where it computes the same; else the Keras 3 optimizer inside one of tf_keras.
    Strings and tf_keras's optimizers pass through.
    """
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        return optimizer
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return tf_keras().mixed_precision.LossScaleOptimizer(
            optimizer_twin(optimizer.inner_optimizer),
            initial_scale=optimizer.initial_scale,
            dynamic_growth_steps=optimizer.dynamic_growth_steps,
        )
    return _native(optimizer) or _hosted(optimizer)


def optimizer_back(optimizer: Any) -> Any:
    """A new Keras 3 optimizer of a tf_keras optimizer's kind and settings.

    Raises LookupError, with the name of the kind, where Keras 3 has none.
    """
    if isinstance(optimizer, tf_keras().mixed_precision.LossScaleOptimizer):
        return keras.optimizers.LossScaleOptimizer(
            optimizer_back(optimizer.inner_optimizer), initial_scale=float(optimizer.initial_scale)
        )
    if isinstance(optimizer, Keras3Optimizer):
        return type(optimizer.hosted).from_config(settings_of(optimizer.hosted))
    same = getattr(keras.optimizers, type(optimizer).__name__, None)
    if same is None:
        raise LookupError(type(optimizer).__name__)
    accepted = parameters(same)
    settings = {k: v for k, v in optimizer.get_config().items() if k in accepted}
    settings["learning_rate"] = _learning_rate_back(optimizer)
    return same(**settings)


def _native(optimizer: Any) -> Any:
    kind = type(optimizer)
    same = getattr(tf_keras().optimizers, kind.__name__, None)
    is_of_keras = getattr(keras.optimizers, kind.__name__, None) is kind
    if same is None or not is_of_keras or kind.__name__ in _COMPUTED_OTHERWISE:
        return None
    accepted, defaults = parameters(same), parameters(kind)
    settings = optimizer.get_config()
    if any(v and v != defaults.get(k) for k, v in settings.items() if k not in accepted):
        return None
    known = {k: v for k, v in settings.items() if k in accepted}
    return same(**{**known, "learning_rate": _learning_rate_twin(optimizer)})


def _hosted(optimizer: Any) -> Any:
    kind = type(optimizer)
    try:
        return Keras3Optimizer(remember_class(kind), settings_of(optimizer))
    except (NotImplementedError, TypeError, ValueError) as error:
        raise UnsupportedModelError(
            f"The optimizer {kind.__name__} cannot be made again from its config ({error}). Give "
            "it a get_config that returns the arguments of its constructor, or compile the model "
            "with another optimizer."
        ) from error


def _learning_rate_twin(optimizer: Any) -> Any:
    rate = optimizer._learning_rate
    if not isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        return float(np.asarray(rate))
    kind = type(rate)
    same = getattr(_schedules, kind.__name__, None)
    if same is None or getattr(keras.optimizers.schedules, kind.__name__, None) is not kind:
        return Keras3Schedule(remember_object(rate))
    return same.from_config(rate.get_config())


def _learning_rate_back(optimizer: Any) -> Any:
    rate = getattr(optimizer, "_learning_rate", None)
    if rate is None:  # tf_keras's legacy optimizers.
        rate = optimizer.learning_rate
    if isinstance(rate, Keras3Schedule):
        return rate.hosted
    if not isinstance(rate, _schedules.LearningRateSchedule):
        return float(np.asarray(rate))
    same = getattr(keras.optimizers.schedules, type(rate).__name__, None)
    if same is None:
        raise LookupError(type(rate).__name__)
    return same.from_config(rate.get_config())


@tf_keras().saving.register_keras_serializable(package="tfgreen")
class Keras3Schedule(tf_keras().optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A learning-rate schedule of the caller's own; only this process can load it."""

    def __init__(self, hosted: str) -> None:
        self._hosted_key = hosted
        self.hosted = remembered_class(hosted).from_config({})

    def __call__(self, step: Any) -> Any:
        """The learning rate at a step."""
        return self.hosted(step)

    def get_config(self) -> dict[str, Any]:
        """The key of the hosted schedule."""
        return {"hosted": self._hosted_key}
