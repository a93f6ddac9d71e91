"""The usual `compile` and `fit` on a tf_keras model, with objects of Keras 3."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from tfgreen.errors import UsageError
from tfgreen.models.bridge.callbacks import callback_twins
from tfgreen.models.bridge.compiling import compile_with
from tfgreen.models.bridge.datasets import data_twin
from tfgreen.models.bridge.origin import origin_of
from tfgreen.models.keras2 import tf_keras

ExtraCallbacks = Callable[[], list[Any]]

_EXTRA = "_tfgreen_extra_callbacks"
_MARK = "_tfgreen_takes_keras3"

_adapted: dict[type, type] = {}


def adapt_fit(twin: Any, extra_callbacks: ExtraCallbacks | None = None) -> None:
    """Let a tf_keras model take Keras 3's optimizers, losses, metrics and callbacks.

    extra_callbacks: gives new callbacks that every fit needs; those whose class the caller's list
        does not have are added to it, before the caller's. Called again on the same model, its
        callbacks are added to those of the earlier calls.
    """
    twin.__class__ = adapted_class(type(twin))
    extra = vars(twin).setdefault(_EXTRA, [])
    if extra_callbacks is not None:
        extra.append(extra_callbacks)


def share_callbacks(source: Any, target: Any) -> None:
    """Let a model that trains another one add the callbacks that the other one's fit adds."""
    for make in vars(source).get(_EXTRA, ()):
        adapt_fit(target, make)


def adapted_class(plain: type) -> type:
    """A subclass of a tf_keras model's class whose compile and fit take Keras 3's objects."""
    if hasattr(plain, _MARK):
        return plain
    if plain not in _adapted:
        members: dict[str, Any] = {
            "fit": _with_callbacks(plain.fit),  # type: ignore[attr-defined]
            "evaluate": _with_callbacks(plain.evaluate),  # type: ignore[attr-defined]
            "predict": _with_callbacks(plain.predict),  # type: ignore[attr-defined]
            "compile": _compile(plain.compile),  # type: ignore[attr-defined]
            _MARK: True,
            # Saved under the name of the class that it adapts: the file needs no tfgreen.
            "__module__": plain.__module__,
            "__doc__": plain.__doc__,
        }
        _adapted[plain] = type(plain.__name__, (plain,), members)
    return _adapted[plain]


def _with_callbacks(plain: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(plain)

    @functools.wraps(plain)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(self, *args, **kwargs)
        given = bound.arguments
        # fit hands its own list to the evaluate of each epoch: that one is complete.
        if not isinstance(given.get("callbacks"), tf_keras().callbacks.CallbackList):
            callbacks = callback_twins(given.get("callbacks"))
            extra = _missing(self, callbacks) if plain.__name__ == "fit" else []
            given["callbacks"] = [*extra, *callbacks]
        for name in {"x", "validation_data"} & given.keys():
            given[name] = data_twin(given[name])
        return plain(*bound.args, **bound.kwargs)

    return method


def _missing(model: Any, callbacks: Iterable[Any]) -> list[Any]:
    kinds = {type(callback) for callback in callbacks}
    made = [callback for make in vars(model).get(_EXTRA, ()) for callback in make()]
    return [callback for callback in made if type(callback) not in kinds]


def _compile(plain: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(plain)

    @functools.wraps(plain)
    def method(self: Any, *args: Any, **kwargs: Any) -> None:
        if len(args) > 2 and origin_of(self) is not None:
            raise UsageError(
                "compile received more than two unnamed arguments. The third is loss_weights in "
                "Keras 3 and metrics in tf_keras: name it."
            )
        kwargs.pop("auto_scale_loss", None)
        bound = signature.bind(self, *args, **kwargs)
        compile_with(self, {"optimizer": "rmsprop", **dict(list(bound.arguments.items())[1:])})

    return method
