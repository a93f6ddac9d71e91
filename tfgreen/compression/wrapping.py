"""What pruning, clustering and quantization-aware training do alike when they wrap a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfgreen.errors import UnsupportedModelError, UsageError
from tfgreen.models.keras2 import is_model, layers_of, tf_keras

_WRAPPERS = ("PruneLowMagnitude", "ClusterWeights", "QuantizeWrapper", "QuantizeLayer", "Rounded")


def with_layers(model: Any, replace: Callable[[Any], Any]) -> Any:
    """The same tf_keras graph with other layers, in nested models too; outputs keep their names."""

    def clone(layer: Any) -> Any:
        is_nested = isinstance(layer, tf_keras().Model) and getattr(
            layer, "_is_graph_network", False
        )
        return with_layers(layer, replace) if is_nested else replace(layer)

    made = tf_keras().models.clone_model(model, clone_function=clone)
    if getattr(model, "output_names", None):  # by them `fit` finds labels and losses
        made.output_names = list(model.output_names)
    return made


def with_wrappers(model: Any, wrapped: Mapping[int, Any]) -> Any:
    """The graph with the `wrapper` of what stands under a layer's id in that layer's place."""
    return with_layers(
        model, lambda layer: wrapped[id(layer)].wrapper if id(layer) in wrapped else layer
    )


def refuse_wrapped(model: Any, what_to_do: str) -> None:
    """Raise UsageError for a tf_keras model with a layer that a technique has wrapped."""
    if not is_model(model):
        return
    for layer in layers_of(model):
        if type(layer).__name__.startswith(_WRAPPERS):
            raise UsageError(
                f"Layer '{layer.name}' of '{model.name}' is a {type(layer).__name__} already. "
                f"{what_to_do}"
            )


def refuse_other_outputs(model: Any, wrapped: Any, purpose: str, tolerance: float) -> None:
    """Raise UnsupportedModelError where the wrapped model computes something else.

    tolerance: of an output's largest value, on random input.
    """
    from tfgreen.models.bridge.comparison import relative_difference
    from tfgreen.models.bridge.random_input import random_inputs

    inputs = random_inputs(model)
    ours, theirs = (_flat(one(inputs, training=False)) for one in (model, wrapped))
    for name, mine, other in zip(model.output_names, ours, theirs, strict=True):
        difference = relative_difference(mine, other)
        if difference > tolerance:
            raise UnsupportedModelError(
                f"Output '{name}' of '{model.name}' changes when its layers are wrapped for "
                f"{purpose}: by {difference:.2g} of its largest value on random input, and at "
                f"most {tolerance:g} is accepted. Name layers that the wrapper does not fit in "
                "skip."
            )


def _flat(outputs: Any) -> list[np.ndarray]:
    import tensorflow as tf

    return [np.asarray(output) for output in tf.nest.flatten(outputs)]
