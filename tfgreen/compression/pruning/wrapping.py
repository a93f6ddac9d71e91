"""A model with its layers wrapped for pruning, and the model without the wrappers again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfgreen.compression.copies import refuse_without_graph
from tfgreen.compression.pruning.plan import LayerPlan, plan_of
from tfgreen.compression.pruning.schedules import KernelSchedule
from tfgreen.compression.pruning.state import PrunedKernel, PrunedLayer, PruningState
from tfgreen.compression.pruning.wrapper import (
    calls_per_step,
    mixed_precision_restored,
    prune_layer,
    unwrapped_layer,
)
from tfgreen.compression.selection import placed_layers
from tfgreen.compression.wrapping import (
    refuse_other_outputs,
    refuse_wrapped,
    with_layers,
    with_wrappers,
)
from tfgreen.models.bridge.origin import origin_of

if TYPE_CHECKING:
    from tfgreen.compression.pruning.pruning import Pruning

_TOLERANCE = 1e-5
_ORDER = (
    "Pruning comes before clustering and quantization: finalize the model first, or prune the "
    "model that was not prepared."
)


def wrapped_copy(technique: Pruning, model: Any) -> tuple[Any, PruningState]:
    """A tf_keras copy of the model with the planned layers wrapped, compiled as the model was.

    Raises:
        UsageError: the model is wrapped already, or a selector names no layer.
        UnsupportedModelError: the model has no graph, or nothing that can be pruned.
    """
    from tfgreen.models.bridge import compile_as, to_keras2

    refuse_without_graph(model)
    refuse_wrapped(model, _ORDER)
    copy = to_keras2(model)
    plans, skipped = plan_of(technique, copy)
    layers = {id(plan.placed.layer): _wrapped_layer(technique, plan) for plan in plans}
    wrapped = with_wrappers(copy, layers)
    refuse_other_outputs(copy, wrapped, "pruning", _TOLERANCE)
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
        stripped = with_layers(wrapped, unwrapped_layer)
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
