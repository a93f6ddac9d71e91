"""Losses of Keras 3 in tf_keras, with reduction, sample weights and masks as they were.

A Keras 3 loss given to tf_keras as it is would be called without the sample weights: it reduces
first, and class and sample weights then scale a mean. And tf_keras gives labels of shape (n,) to
a function as (n, 1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import keras
from keras.src.losses.losses import LossFunctionWrapper

from tfgreen.models.bridge.configs import parameters
from tfgreen.models.bridge.hosting import remember_object, remembered_class
from tfgreen.models.bridge.labels import labels_as_given
from tfgreen.models.keras2 import tf_keras

_losses = tf_keras().losses
_REDUCTIONS = {"sum_over_batch_size": "sum_over_batch_size", "mean": "sum_over_batch_size"}


def loss_twin(loss: Any) -> Any:
    """A loss, or a list or mapping of losses, of a Keras 3 model as tf_keras's compile takes it.

    Names that both flavours know and tf_keras's own losses pass through.
    """
    if isinstance(loss, Mapping):
        return {key: loss_twin(part) for key, part in loss.items()}
    if isinstance(loss, (list, tuple)):
        return [loss_twin(part) for part in loss]
    if loss is None or isinstance(loss, _losses.Loss):
        return loss
    if isinstance(loss, str):
        if _is_known(loss):
            return loss
        loss = keras.losses.get(loss)
    if isinstance(loss, keras.losses.Loss):
        return _native(loss) or Keras3Loss(remember_object(loss))
    name = re.sub(r"\W", "", getattr(loss, "__name__", type(loss).__name__))
    return Keras3Loss(remember_object(LossFunctionWrapper(loss, name=name)))


def _is_known(name: str) -> bool:
    try:
        _losses.get(name)
    except ValueError:
        return False
    return True


def _native(loss: Any) -> Any:
    """tf_keras's loss of the same name and settings; None where there is none."""
    kind = type(loss)
    same = getattr(_losses, kind.__name__, None)
    if same is None or getattr(keras.losses, kind.__name__, None) is not kind:
        return None
    reduction = _REDUCTIONS.get(loss.reduction, loss.reduction or "none")
    if reduction not in ("sum_over_batch_size", "sum", "none"):
        return None
    accepted, defaults = parameters(same), parameters(kind)
    config = {k: v for k, v in loss.get_config().items() if k not in ("reduction", "dtype")}
    if any(k not in accepted and v != defaults.get(k) for k, v in config.items()):
        return None
    settings = {k: v for k, v in config.items() if k in accepted}
    return same(reduction=reduction, **settings)


@tf_keras().saving.register_keras_serializable(package="tfgreen")
class Keras3Loss(tf_keras().losses.Loss):  # type: ignore[misc]
    """A Keras 3 loss of a kind that tf_keras does not have; only this process can load it."""

    def __init__(self, hosted: str) -> None:
        self._hosted_key = hosted
        self.hosted = remembered_class(hosted).from_config({})
        kind = self.hosted.reduction
        super().__init__("sum" if kind in ("sum", None, "none") else "sum_over_batch_size")
        self.name = self.hosted.name

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The reduced loss, as Keras 3 computes it."""
        y_true = labels_as_given(y_true, y_pred)
        return self.hosted(y_true, y_pred, sample_weight=sample_weight)

    def get_config(self) -> dict[str, Any]:
        """The key of the hosted loss."""
        return {"hosted": self._hosted_key}
