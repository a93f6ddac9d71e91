"""Optimizers and learning-rate schedules of Keras 3 in tf_keras, and their state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge.configs import parameters
from tfgreen.models.bridge.hosting import remember_object, remembered_class
from tfgreen.models.keras2 import tf_keras

_schedules = tf_keras().optimizers.schedules

# Without a meaning outside Keras 3's own train step.
_IGNORED = frozenset({"loss_scale_factor", "gradient_accumulation_steps"})


def optimizer_twin(optimizer: Any) -> Any:
    """A new tf_keras optimizer of the same kind and settings, without state.

    Strings and tf_keras's own optimizers pass through. Raises UnsupportedModelError for a kind or
    a setting that tf_keras does not have.
    """
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        return optimizer
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return _loss_scaled(optimizer)
    kind = type(optimizer)
    same = getattr(tf_keras().optimizers, kind.__name__, None)
    if same is None or getattr(keras.optimizers, kind.__name__, None) is not kind:
        known = [name for name in _KINDS if hasattr(tf_keras().optimizers, name)]
        raise UnsupportedModelError(
            f"The optimizer {kind.__name__} does not exist in tf_keras, with which compression in "
            f"training works. Compile the model with one of {', '.join(known)}."
        )
    return same(**_settings(optimizer, same))


def optimizer_back(optimizer: Any) -> Any:
    """A new Keras 3 optimizer of a tf_keras optimizer's kind and settings.

    Raises LookupError, with the name of the kind, where Keras 3 has none.
    """
    if isinstance(optimizer, tf_keras().mixed_precision.LossScaleOptimizer):
        return keras.optimizers.LossScaleOptimizer(
            optimizer_back(optimizer.inner_optimizer), initial_scale=float(optimizer.initial_scale)
        )
    same = getattr(keras.optimizers, type(optimizer).__name__, None)
    if same is None:
        raise LookupError(type(optimizer).__name__)
    accepted = parameters(same)
    settings = {k: v for k, v in optimizer.get_config().items() if k in accepted}
    settings["learning_rate"] = _learning_rate_back(optimizer)
    return same(**settings)


def _learning_rate_back(optimizer: Any) -> Any:
    rate = optimizer._learning_rate
    if isinstance(rate, Keras3Schedule):
        return rate.hosted
    if not isinstance(rate, _schedules.LearningRateSchedule):
        return float(np.asarray(rate))
    same = getattr(keras.optimizers.schedules, type(rate).__name__, None)
    if same is None:
        raise LookupError(type(rate).__name__)
    return same.from_config(rate.get_config())


def copy_state(source: Any, target: Any, places: Sequence[int]) -> None:
    """Carry the step count and, where both have them, the moments over.

    source, target: optimizers of the same kind, of either flavour; the target is built.
    places: for each variable of the source the place of its twin among the target's variables.
    """
    target.iterations.assign(int(np.asarray(source.iterations)))
    for name, values in vars(source).items():
        others: Any = getattr(target, name, None)
        if not _is_moments(values) or not _is_moments(others) or len(values) != len(places):
            continue
        for value, place in zip(values, places, strict=True):
            if tuple(value.shape) == tuple(others[place].shape):
                others[place].assign(np.asarray(value))


def is_built(optimizer: Any) -> bool:
    """Whether an optimizer of either flavour has variables for a model's."""
    return bool(getattr(optimizer, "built", False) or getattr(optimizer, "_built", False))


def _is_moments(values: Any) -> bool:
    return (
        isinstance(values, Sequence)
        and not isinstance(values, (str, bytes))
        and len(values) > 0
        and all(hasattr(value, "assign") for value in values)
    )


_KINDS = (
    "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lion", "Nadam",
    "RMSprop", "SGD",
)  # fmt: skip


def _settings(optimizer: Any, same: Any) -> dict[str, Any]:
    accepted, defaults = parameters(same), parameters(type(optimizer))
    settings: dict[str, Any] = {}
    for key, value in optimizer.get_config().items():
        if key == "learning_rate":
            settings[key] = _learning_rate_twin(optimizer)
        elif key in accepted:
            settings[key] = value
        elif value and value != defaults.get(key):
            raise UnsupportedModelError(
                f"The optimizer {type(optimizer).__name__} has {key}={value!r}, which tf_keras's "
                "does not have. Compile the model without it."
            )
    return settings


def _learning_rate_twin(optimizer: Any) -> Any:
    rate = optimizer._learning_rate
    if not isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        return float(np.asarray(rate))
    kind = type(rate)
    same = getattr(_schedules, kind.__name__, None)
    if same is None or getattr(keras.optimizers.schedules, kind.__name__, None) is not kind:
        return Keras3Schedule(remember_object(rate))
    return same.from_config(rate.get_config())


def _loss_scaled(optimizer: Any) -> Any:
    inner = optimizer_twin(optimizer.inner_optimizer)
    settings: Mapping[str, Any] = {
        "initial_scale": optimizer.initial_scale,
        "dynamic_growth_steps": optimizer.dynamic_growth_steps,
    }
    return tf_keras().mixed_precision.LossScaleOptimizer(inner, **settings)


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
