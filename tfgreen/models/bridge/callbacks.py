"""Callbacks of Keras 3 in the fit of a tf_keras model."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import keras

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge.directions import direction_of
from tfgreen.models.keras2 import tf_keras

_HOOKS = (
    "on_epoch_begin", "on_epoch_end", "on_train_batch_begin", "on_train_batch_end",
    "on_test_batch_begin", "on_test_batch_end", "on_predict_batch_begin", "on_predict_batch_end",
    "on_train_begin", "on_train_end", "on_test_begin", "on_test_end", "on_predict_begin",
    "on_predict_end",
)  # fmt: skip

# They reach into Keras 3's own optimizers and checkpoints.
_REFUSED = ("SwapEMAWeights", "OrbaxCheckpoint")

_TENSORBOARD_SETTINGS = (
    "log_dir", "histogram_freq", "write_graph", "write_images", "write_steps_per_second",
    "update_freq", "embeddings_freq", "embeddings_metadata",
)  # fmt: skip


def callback_twins(callbacks: Any) -> list[Any]:
    """Callbacks of either flavour as tf_keras's fit takes them; the caller's objects stay live.

    Raises UnsupportedModelError for the two kinds that need an optimizer of Keras 3.
    """
    if callbacks is None:
        return []
    given: Iterable[Any] = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
    return [_twin(callback) for callback in given]


def _twin(callback: Any) -> Any:
    if not isinstance(callback, keras.callbacks.Callback):
        return callback
    kind = type(callback).__name__
    if type(callback) is keras.callbacks.TensorBoard:
        return _tensorboard(callback)
    if type(callback) is keras.callbacks.ProgbarLogger:  # fit would add a second one.
        return tf_keras().callbacks.ProgbarLogger(count_mode="steps")
    if kind in _REFUSED and type(callback).__module__.startswith("keras."):
        raise UnsupportedModelError(
            f"The callback {kind} works on Keras 3's own optimizers only, and this model trains "
            "with one of tf_keras. Leave it out, or use tf_keras's callback in its place."
        )
    return Keras3Callback(callback)


def _tensorboard(callback: Any) -> Any:
    """tf_keras's own: Keras 3's reads the names of variables that tf_keras's do not have."""
    settings = {name: getattr(callback, name) for name in _TENSORBOARD_SETTINGS}
    batches = (callback._start_batch, callback._stop_batch)
    return tf_keras().callbacks.TensorBoard(
        **settings, profile_batch=batches if any(batches) else 0
    )


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
        if hasattr(type(self.hosted), "_set_monitor_op"):
            self.hosted._set_monitor_op = functools.partial(_set_monitor_op, self.hosted)

    def _implements_train_batch_hooks(self) -> bool:
        return self._overrides(
            "on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end"
        )

    def _implements_test_batch_hooks(self) -> bool:
        return self._overrides("on_test_batch_begin", "on_test_batch_end")

    def _implements_predict_batch_hooks(self) -> bool:
        return self._overrides("on_predict_batch_begin", "on_predict_batch_end")

    def _overrides(self, *names: str) -> bool:
        plain, own = keras.callbacks.Callback, type(self.hosted)
        return any(
            name in vars(self.hosted) or getattr(own, name) is not getattr(plain, name)
            for name in names
        )


def _forwarding(name: str) -> Any:
    def hook(self: Keras3Callback, *args: Any, **kwargs: Any) -> None:
        getattr(self.hosted, name)(*args, **kwargs)

    hook.__name__ = name
    return hook


for _name in _HOOKS:
    setattr(Keras3Callback, _name, _forwarding(_name))


def _set_monitor_op(callback: Any) -> None:
    """Keras 3 looks up in its own metrics whether more is better; tf_keras's do not tell."""
    mode = callback.mode
    if mode == "auto":
        callback.mode = direction_of(callback.model, callback.monitor) or mode
    try:
        type(callback)._set_monitor_op(callback)
    finally:
        callback.mode = mode
