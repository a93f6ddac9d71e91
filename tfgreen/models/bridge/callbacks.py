"""Callbacks of Keras 3 in the fit of a tf_keras model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras

from tfgreen.models.keras2 import tf_keras

_HOOKS = (
    "on_epoch_begin", "on_epoch_end", "on_train_batch_begin", "on_train_batch_end",
    "on_test_batch_begin", "on_test_batch_end", "on_predict_batch_begin", "on_predict_batch_end",
    "on_train_begin", "on_train_end", "on_test_begin", "on_test_end", "on_predict_begin",
    "on_predict_end",
)  # fmt: skip


def callback_twins(callbacks: Any) -> list[Any]:
    """Callbacks of either flavour as tf_keras's fit takes them; the caller's objects stay live."""
    if callbacks is None:
        return []
    given: Iterable[Any] = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
    return [_twin(callback) for callback in given]


def _twin(callback: Any) -> Any:
    if isinstance(callback, keras.callbacks.Callback):
        return Keras3Callback(callback)
    return callback


class Keras3Callback(tf_keras().callbacks.Callback):  # type: ignore[misc]
    """Hands every event on to a Keras 3 callback, whose `model` is the tf_keras model in training.

    What the callback stores (`stopped_epoch`, `best` …) can be read from it after fit as ever.
    """

    def __init__(self, hosted: Any) -> None:
        super().__init__()
        self.hosted = hosted

    def set_params(self, params: Any) -> None:
        """Tell the callback the epochs and steps."""
        super().set_params(params)
        self.hosted.set_params(params)

    def set_model(self, model: Any) -> None:
        """Give the callback the model in training."""
        super().set_model(model)
        self.hosted.set_model(model)

    def _implements_train_batch_hooks(self) -> bool:
        return self._overrides(
            "on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end"
        )

    def _implements_test_batch_hooks(self) -> bool:
        return self._overrides("on_test_batch_begin", "on_test_batch_end")

    def _implements_predict_batch_hooks(self) -> bool:
        return self._overrides("on_predict_batch_begin", "on_predict_batch_end")

    def _overrides(self, *names: str) -> bool:
        plain = keras.callbacks.Callback
        return any(
            name in vars(self.hosted)
            or getattr(type(self.hosted), name) is not getattr(plain, name)
            for name in names
        )


def _forwarding(name: str) -> Any:
    def hook(self: Keras3Callback, *args: Any, **kwargs: Any) -> None:
        getattr(self.hosted, name)(*args, **kwargs)

    hook.__name__ = name
    return hook


for _name in _HOOKS:
    setattr(Keras3Callback, _name, _forwarding(_name))
