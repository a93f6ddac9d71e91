"""`tfmot.sparsity.keras` for models and layers of either Keras."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from tfgreen.errors import UsageError
from tfgreen.models.bridge import adapt_fit, to_keras2
from tfgreen.models.keras2 import is_model, model_optimization
from tfgreen.tfmot.graphs import (
    copied_layer,
    is_keras3,
    require_tensorflow,
    with_layers,
    without_wrappers,
)
from tfgreen.tfmot.pruned_layer import PruneLowMagnitude, prunable_weights, pruned_layers
from tfgreen.tfmot.pruning_callbacks import PruningSummaries, UpdatePruningStep

__all__ = [
    "PruningSummaries",
    "UpdatePruningStep",
    "prune_low_magnitude",
    "prune_scope",
    "strip_pruning",
]

_ORIGINAL = model_optimization().sparsity.keras


def __getattr__(name: str) -> Any:
    """Schedules, policies and `PrunableLayer` are the original's."""
    return getattr(_ORIGINAL, name)


def prune_low_magnitude(
    to_prune: Any,
    pruning_schedule: Any = None,
    block_size: tuple[int, int] = (1, 1),
    block_pooling_type: str = "AVG",
    pruning_policy: Any | None = None,
    sparsity_m_by_n: tuple[int, int] | None = None,
    **kwargs: Any,
) -> Any:
    """Let the kernels of a model, a layer or a list of layers be pruned while they are trained.

    The result is of the Keras that was given, and is not compiled. What was given is not changed,
    and is not pruned along. The default schedule is the original's: half of each kernel, at once.

    pruning_policy: of a policy of your own `allow_pruning` is asked with the layers that were
        given, of the original's with their tf_keras twins.

    Raises UnsupportedModelError for a model that is subclassed or was never built, UsageError for
    a model that is pruned already.
    """
    settings = {
        "pruning_schedule": pruning_schedule or _ORIGINAL.ConstantSparsity(0.5, 0),
        "block_size": block_size,
        "block_pooling_type": block_pooling_type,
        "sparsity_m_by_n": sparsity_m_by_n,
    }
    if isinstance(to_prune, list):
        settings["pruning_policy"] = pruning_policy
        return [prune_low_magnitude(layer, **settings, **kwargs) for layer in to_prune]
    if is_model(to_prune):
        wrapped = _ORIGINAL.prune_low_magnitude(
            to_keras2(to_prune), pruning_policy=pruning_policy, **settings
        )
        adapt_fit(wrapped, lambda: [_ORIGINAL.UpdatePruningStep()])
        return wrapped
    if not is_keras3(to_prune):
        return _ORIGINAL.prune_low_magnitude(
            to_prune, pruning_policy=pruning_policy, **settings, **kwargs
        )
    require_tensorflow()
    if isinstance(to_prune, keras.Model):
        return _pruned_model(to_prune, pruning_policy, settings)
    return PruneLowMagnitude.around(to_prune, **settings, **kwargs)


def strip_pruning(model: Any) -> Any:
    """A new model without the wrappers, its weights masked; it is not compiled."""
    if not is_keras3(model):
        return _ORIGINAL.strip_pruning(model)
    for layer in pruned_layers(model):
        layer.mask_weights()
    stripped, _ = without_wrappers(model, PruneLowMagnitude)
    return stripped


@contextmanager
def prune_scope() -> Iterator[None]:
    """Let either Keras load models with pruning wrappers."""
    classes = {"PruneLowMagnitude": PruneLowMagnitude}
    with _ORIGINAL.prune_scope(), keras.saving.custom_object_scope(classes):
        yield


def _pruned_model(model: Any, policy: Any | None, settings: dict[str, Any]) -> Any:
    if any(pruned_layers(model)):
        raise UsageError(f"Layers of '{model.name}' are pruned already: strip_pruning comes first.")
    allowed = _allowed(model, policy)

    def wrapped(layer: Any) -> Any:
        if prunable_weights(layer) and allowed(layer):
            return PruneLowMagnitude.around(layer, **settings)
        return copied_layer(layer)

    return with_layers(model, wrapped)


def _allowed(model: Any, policy: Any | None) -> Any:
    if policy is None:
        return lambda layer: True
    if not type(policy).__module__.startswith("tensorflow_model_optimization"):
        policy.ensure_model_supports_pruning(model)
        return policy.allow_pruning
    twin = to_keras2(model)
    policy.ensure_model_supports_pruning(twin)
    twins = {layer.name: layer for layer in twin.layers}
    return lambda layer: policy.allow_pruning(twins[layer.name])
