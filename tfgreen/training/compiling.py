"""How a model is compiled for a training and how it goes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfgreen.errors import UsageError
from tfgreen.models.loading import flavour_of

_NAMES = ("loss", "metrics", "loss_weights", "weighted_metrics")
_HOW = {"run_eagerly": False, "steps_per_execution": 1}
"""How the steps run, with Keras's own choice."""


def settings_for(model: Any, loss: Any, metrics: Any) -> dict[str, Any]:
    """What to compile with: what is given, else what the model was compiled with.

    How the steps run (eagerly, several at once, with XLA) stays as it was, whatever is given.

    Raises UsageError where neither tells the loss.
    """
    given = _given(model)
    settings = {name: given[name] for name in _NAMES if given.get(name) is not None}
    if loss is not None:
        settings = {"loss": loss}
    if metrics is not None:
        settings["metrics"] = metrics
    if settings.get("loss") is None and not _trains_without_loss(model):
        raise UsageError(
            f"'{model.name}' is not compiled, and no loss was given. Say which, as "
            "loss='sparse_categorical_crossentropy'."
        )
    return {**settings, **_how(given)}


def _given(model: Any) -> Mapping[str, Any]:
    """The arguments of the model's own `compile`, so far as they are known."""
    config = getattr(model, "_compile_config", None)
    own: Mapping[str, Any] = config.config if config is not None else {}
    if flavour_of(model) == "keras3":
        return own
    from tfgreen.models.bridge.compiling import compile_arguments

    return {**(compile_arguments(model) or {}), "jit_compile": own.get("jit_compile")}


def _how(given: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        name: given[name] for name, usual in _HOW.items() if given.get(name) not in (None, usual)
    }
    if isinstance(given.get("jit_compile"), bool):
        found["jit_compile"] = given["jit_compile"]
    return found


def _trains_without_loss(model: Any) -> bool:
    """A model compiled without a loss that adds its own, as a distiller does."""
    return bool(getattr(model, "compiled", False) or getattr(model, "_is_compiled", False))
