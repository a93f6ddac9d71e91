"""How a model is compiled for a training and how it goes back."""

from __future__ import annotations

from typing import Any

from tfgreen.errors import UsageError
from tfgreen.models.loading import flavour_of

_NAMES = ("loss", "metrics", "loss_weights", "weighted_metrics")


def settings_for(model: Any, loss: Any, metrics: Any) -> dict[str, Any]:
    """What to compile with: what is given, else what the model was compiled with.

    Raises UsageError where neither tells the loss.
    """
    settings = _own(model)
    if loss is not None:
        settings = {"loss": loss}
    if metrics is not None:
        settings["metrics"] = metrics
    if settings.get("loss") is None and not _trains_without_loss(model):
        raise UsageError(
            f"'{model.name}' is not compiled, and no loss was given. Say which, as "
            "loss='sparse_categorical_crossentropy'."
        )
    return settings


def _own(model: Any) -> dict[str, Any]:
    if flavour_of(model) == "keras2":
        from tfgreen.models.bridge.compiling import compile_arguments

        given = compile_arguments(model) or {}
    else:
        config = getattr(model, "_compile_config", None)
        given = config.config if config is not None else {}
    return {name: given[name] for name in _NAMES if given.get(name) is not None}


def _trains_without_loss(model: Any) -> bool:
    """A model compiled without a loss that adds its own, as a distiller does."""
    return bool(getattr(model, "compiled", False) or getattr(model, "_is_compiled", False))
