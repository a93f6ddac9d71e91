"""Freezes BatchNormalization after a share of training.

Its statistics move with every batch, and the folded weights and their steps move with them.
Towards the end the steps should stand still (Krishnamoorthi 2018, arXiv 1806.08342, 3.2).
"""

from __future__ import annotations

from functools import cache
from typing import Any

from tfgreen.models.keras2 import tf_keras

_NORMALIZATIONS = frozenset({"BatchNormalization", "SyncBatchNormalization"})


def norm_freezing(after: float, first_epoch: int | None = None) -> Any:
    """A tf_keras callback.

    after: share of the steps of this training, 0 to 1.
    first_epoch: the epoch that this training began with, where `fit` only goes on with it.
    """
    return _callback_class()(after, first_epoch)


def freeze_norms(model: Any) -> tuple[str, ...]:
    """Freeze all BatchNormalization layers, nested ones too; the names of those that were not."""
    found = [
        layer
        for layer in model._flatten_layers(include_self=False, recursive=True)
        if type(layer).__name__ in _NORMALIZATIONS and layer.trainable
    ]
    for layer in found:
        layer.trainable = False
    return tuple(layer.name for layer in found)


@cache
def _callback_class() -> type:
    class NormFreezing(tf_keras().callbacks.Callback):  # type: ignore[misc]
        """Freezes once, when the share of steps is reached."""

        def __init__(self, after: float, first_epoch: int | None) -> None:
            super().__init__()
            self._after = after
            self._first_epoch = first_epoch
            self._epochs_done = 0
            self._is_due = True

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            """Where the number of steps is not known, whole epochs are counted."""
            if self._first_epoch is None:
                self._first_epoch = epoch
            self._epochs_done = epoch - self._first_epoch
            if self.params.get("steps") is None:
                self._freeze_from(self._epochs_done)

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            """batch: the step that begins, of this epoch; a call may run several steps."""
            if steps := self.params.get("steps"):
                self._freeze_from(self._epochs_done + batch / steps)

        def _freeze_from(self, epochs_done: float) -> None:
            """Freeze if that many epochs are the share of this training, or more."""
            if epochs_done >= self._after * (self.params["epochs"] - (self._first_epoch or 0)):
                self._freeze()

        def _freeze(self) -> None:
            if self._is_due and freeze_norms(self.model):
                # What is trained is fixed in the compiled step: make it anew.
                self.model.make_train_function(force=True)
            self._is_due = False

    return NormFreezing
