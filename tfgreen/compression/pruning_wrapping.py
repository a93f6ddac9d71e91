"""A model with its layers wrapped for pruning, and the model without the wrappers again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tfgreen.compression.copies import refuse_without_graph
from tfgreen.compression.pruning_plan import LayerPlan, plan_of
from tfgreen.compression.pruning_state import PrunedKernel, PrunedLayer, PruningState
from tfgreen.compression.pruning_wrapper import (
    calls_per_step,
    mixed_precision_restored,
    prune_layer,
    unwrapped_layer,
)
from tfgreen.compression.schedules import KernelSchedule
from tfgreen.compression.selection import placed_layers
from tfgreen.errors import UnsupportedModelError, UsageError
from tfgreen.models.bridge.origin import origin_of
from tfgreen.models.keras2 import is_model, layers_of, tf_keras

if TYPE_CHECKING:
    from tfgreen.compression.pruning import Pruning

_TOLERANCE = 1e-5
_WRAPPERS = ("PruneLowMagnitude", "ClusterWeights", "QuantizeWrapper", "QuantizeLayer")


def wrapped_copy(technique: Pruning, model: Any) -> tuple[Any, PruningState]:
    """A tf_keras copy of the model with the planned layers wrapped, compiled as the model was.

    Raises:
        UsageError: the model is wrapped already, or a selector names no layer.
        UnsupportedModelError: the model has no graph, or nothing that can be pruned.
    """
    from tfgreen.models.bridge import compile_as, to_keras2

    refuse_without_graph(model)
    _refuse_wrapped(model)
    copy = to_keras2(model)
    plans, skipped = plan_of(technique, copy)
    layers = {id(plan.placed.layer): _wrapped_layer(technique, plan) for plan in plans}

    def wrapped_or_same(layer: Any) -> Any:
        if id(layer) in layers:
            return layers[id(layer)].wrapper
        if isinstance(layer, tf_keras().Model) and getattr(layer, "_is_graph_network", False):
            return _cloned(layer, wrapped_or_same)
        return layer

    wrapped = _cloned(copy, wrapped_or_same)
    _refuse_other_outputs(copy, wrapped)
    calls = calls_per_step(wrapped)
    order = tuple(placed.path for placed in placed_layers(copy))
    state = PruningState(tuple(layers.values()), skipped, order, technique.initial_sparsity)
    for layer in state.layers:
        for kernel in layer.kernels:
            kernel.schedule.calls = calls[id(layer.wrapper)]
    compile_as(wrapped, copy)
    return wrapped, state


def unwrapped(wrapped: Any, state: PruningState) -> Any:
    """A new model without the wrappers: of Keras 3 where the model was, else of tf_keras."""
    from tfgreen.models.bridge import compile_as, to_keras2, to_keras3

    original = origin_of(wrapped)
    with mixed_precision_restored(layer.wrapper for layer in state.layers):
        stripped = _cloned(wrapped, _without_wrapper)
        compile_as(stripped, wrapped)
        return to_keras2(stripped) if original is None else to_keras3(stripped, original)


def _wrapped_layer(technique: Pruning, plan: LayerPlan) -> PrunedLayer:
    import tensorflow as tf

    is_ranked = technique.scope == "global"
    kernels = tuple(
        PrunedKernel(kernel, KernelSchedule(kernel.target), tf.Variable(0.0) if is_ranked else None)
        for kernel in plan.kernels
    )
    variables = [kernel.kernel.variable for kernel in plan.kernels]
    schedules = [kernel.schedule for kernel in kernels]
    wrapper = prune_layer(plan.placed.layer, variables, schedules, **technique.pattern_arguments)
    reasons = [plan.reason, "trained in float32" if wrapper.mixed_policies.value else ""]
    reason = "; ".join(filter(None, reasons))
    return PrunedLayer(plan.placed.path, plan.placed.kind, reason, wrapper, kernels)


def _cloned(model: Any, clone_function: Any) -> Any:
    """The same graph with other layers; outputs keep their names, by which `fit` finds them."""
    made = tf_keras().models.clone_model(model, clone_function=clone_function)
    if getattr(model, "output_names", None):
        made.output_names = list(model.output_names)
    return made


def _without_wrapper(layer: Any) -> Any:
    if isinstance(layer, tf_keras().Model) and getattr(layer, "_is_graph_network", False):
        return _cloned(layer, _without_wrapper)
    return unwrapped_layer(layer)


def _refuse_wrapped(model: Any) -> None:
    if not is_model(model):
        return
    for layer in layers_of(model):
        if type(layer).__name__.startswith(_WRAPPERS):
            raise UsageError(
                f"Layer '{layer.name}' of '{model.name}' is a {type(layer).__name__} already. "
                "Pruning comes before clustering and quantization: finalize the model first, or "
                "prune the model that was not prepared."
            )


def _refuse_other_outputs(copy: Any, wrapped: Any) -> None:
    """Wrapped and not yet trained, a model computes what it did before."""
    from tfgreen.models.bridge.comparison import relative_difference
    from tfgreen.models.bridge.random_input import random_inputs

    inputs = random_inputs(copy)
    ours, theirs = (_flat(model(inputs, training=False)) for model in (copy, wrapped))
    for name, mine, other in zip(copy.output_names, ours, theirs, strict=True):
        difference = relative_difference(mine, other)
        if difference > _TOLERANCE:
            raise UnsupportedModelError(
                f"Output '{name}' of '{copy.name}' changes when its layers are wrapped for "
                f"pruning: by {difference:.2g} of its largest value on random input, and at most "
                f"{_TOLERANCE:g} is accepted. Name layers that the wrapper does not fit in skip."
            )


def _flat(outputs: Any) -> list[np.ndarray]:
    import tensorflow as tf

    return [np.asarray(output) for output in tf.nest.flatten(outputs)]
