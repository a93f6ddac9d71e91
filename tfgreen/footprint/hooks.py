"""A callback for Keras 3 and tf_keras alike, without importing either.

Both libraries take any object that has the hooks of a callback. This one has them all and does
nothing in those that come with every batch, and says so, so that neither calls them for its sake.
"""

from __future__ import annotations

from typing import Any


def _nothing(*args: Any, **kwargs: Any) -> None:
    """A hook that is not needed."""


_nothing._is_default = True  # type: ignore[attr-defined]  # Keras 3's mark of a hook not overridden


class Hooks:
    """What both flavours of Keras ask a callback for."""

    async_safe = True
    _supports_tf_logs = True
    model: Any = None
    params: Any = None

    def set_model(self, model: Any) -> None:
        """The model in training."""
        self.model = model

    def set_params(self, params: Any) -> None:
        """Epochs and steps."""
        self.params = params

    def _implements_train_batch_hooks(self) -> bool:
        return False

    _implements_test_batch_hooks = _implements_train_batch_hooks
    _implements_predict_batch_hooks = _implements_train_batch_hooks

    on_epoch_begin: Any = staticmethod(_nothing)
    on_epoch_end: Any = staticmethod(_nothing)
    on_batch_begin = on_batch_end = staticmethod(_nothing)
    on_train_batch_begin: Any = staticmethod(_nothing)
    on_train_batch_end: Any = staticmethod(_nothing)
    on_test_batch_begin = on_test_batch_end = staticmethod(_nothing)
    on_predict_batch_begin = on_predict_batch_end = staticmethod(_nothing)
    on_train_begin: Any = staticmethod(_nothing)
    on_train_end: Any = staticmethod(_nothing)
    on_test_begin: Any = staticmethod(_nothing)
    on_test_end: Any = staticmethod(_nothing)
    on_predict_begin = on_predict_end = staticmethod(_nothing)
