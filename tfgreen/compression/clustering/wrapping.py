"""A model with its layers wrapped for clustering, and the model without the wrappers again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfgreen.compression.clustering.plan import LayerPlan, plan_of
from tfgreen.compression.clustering.wrapper import cluster_layer, clusterable_weights
from tfgreen.compression.technique import LayerDecision
from tfgreen.compression.wrapping import (
    refuse_other_outputs,
    refuse_wrapped,
    with_layers,
    with_wrappers,
)
from tfgreen.models.keras2 import layers_of

if TYPE_CHECKING:
    from tfgreen.compression.clustering.clustering import Clustering

_TOLERANCE = 1e-5
_TOLERANCE_IN_16_BITS = 2e-2
_ORDER = (
    "Clustering comes after pruning and before quantization: finalize the model first, or cluster "
    "the model that was not prepared."
)


@dataclass(frozen=True)
class ClusteredLayer:
    """A wrapped layer.

    variables: its own ones, in the order of its weights before it was wrapped.
    names: the place in `variables` of each weight that is clustered → the wrapper's name for it.
    """

    plan: LayerPlan
    wrapper: Any
    variables: tuple[Any, ...]
    names: dict[int, str]

    def values(self) -> list[np.ndarray]:
        """All its weights, the clustered ones with the values of their centroids."""
        clustered = self.wrapper.clustered_weights()
        return [
            np.asarray(clustered[self.names[place]] if place in self.names else variable)
            for place, variable in enumerate(self.variables)
        ]

    def kernels(self) -> list[np.ndarray]:
        """The clustered weights alone."""
        return [np.asarray(weight) for weight in self.wrapper.clustered_weights().values()]


@dataclass(frozen=True)
class ClusteringState:
    """What `Clustering` knows of one wrapped model."""

    layers: tuple[ClusteredLayer, ...]
    skipped: tuple[LayerDecision, ...]


def wrapped_copy(technique: Clustering, model: Any) -> tuple[Any, ClusteringState]:
    """A tf_keras copy of the model with the planned layers wrapped, compiled as the model was.

    Raises:
        UsageError: the model is wrapped already, or a selector names no layer.
        UnsupportedModelError: the model has no graph, or nothing that can be clustered.
    """
    from tfgreen.models.bridge import compile_as, to_keras2

    refuse_wrapped(model, _ORDER)
    copy = to_keras2(model)
    plans, skipped = plan_of(technique, copy)
    layers = {id(plan.placed.layer): _wrapped_layer(technique, plan) for plan in plans}
    wrapped = with_wrappers(copy, layers)
    compile_as(wrapped, copy)
    state = ClusteringState(tuple(layers.values()), skipped)
    # Wrapped, it computes what it does with the same clustered weights and no wrapper.
    stripped = _stripped(wrapped, state)
    is_mixed = any(layer.compute_dtype != layer.variable_dtype for layer in layers_of(stripped))
    tolerance = _TOLERANCE_IN_16_BITS if is_mixed else _TOLERANCE
    refuse_other_outputs(stripped, wrapped, "clustering", tolerance)
    return wrapped, state


def unwrapped(wrapped: Any, state: ClusteringState) -> Any:
    """A new model without the wrappers: of Keras 3 where the model was, else of tf_keras."""
    from tfgreen.models.bridge import compile_as, origin_of, to_keras2, to_keras3

    stripped = _stripped(wrapped, state)
    compile_as(stripped, wrapped)
    original = origin_of(wrapped)
    return to_keras2(stripped) if original is None else to_keras3(stripped, original)


def _wrapped_layer(technique: Clustering, plan: LayerPlan) -> ClusteredLayer:
    layer = plan.placed.layer
    variables = tuple(layer.weights)
    places = {id(variable): place for place, variable in enumerate(variables)}
    names = {places[id(v)]: name for name, v in (clusterable_weights(layer) or {}).items()}
    wrapper = cluster_layer(layer, plan.clusters, plan.init, technique.preserve_sparsity)
    return ClusteredLayer(plan, wrapper, variables, names)


def _stripped(wrapped: Any, state: ClusteringState) -> Any:
    """The model with new layers in the place of the wrappers; it is not compiled.

    The layers inside the wrappers have tensors where they had variables, so that they are of no
    use any more. Layers that were not wrapped are shared with the wrapped model.
    """
    fresh: dict[int, Any] = {}

    def unwrapped_layer(layer: Any) -> Any:
        for clustered in state.layers:
            if clustered.wrapper is layer:
                inner = layer.layer
                return fresh.setdefault(id(layer), type(inner).from_config(inner.get_config()))
        return layer

    stripped = with_layers(wrapped, unwrapped_layer)
    for clustered in state.layers:
        for variable, value in zip(
            fresh[id(clustered.wrapper)].weights, clustered.values(), strict=True
        ):
            variable.assign(value)
    return stripped
