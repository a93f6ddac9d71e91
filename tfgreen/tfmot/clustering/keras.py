"""`tfmot.clustering.keras` for models and layers of either Keras."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np

from tfgreen.errors import UsageError
from tfgreen.models.bridge import adapt_fit, to_keras2
from tfgreen.models.keras2 import is_model, model_optimization
from tfgreen.tfmot.clustered_layer import ClusterWeights, clusterable_weights, clustered_layers
from tfgreen.tfmot.graphs import (
    copied_layer,
    is_keras3,
    require_tensorflow,
    with_layers,
    without_wrappers,
)

__all__ = ["cluster_scope", "cluster_weights", "experimental", "strip_clustering"]

_ORIGINAL = model_optimization().clustering.keras


def __getattr__(name: str) -> Any:
    """`CentroidInitialization`, `ClusterableLayer` and the like are the original's."""
    return getattr(_ORIGINAL, name)


def cluster_weights(
    to_cluster: Any,
    number_of_clusters: int,
    cluster_centroids_init: Any = _ORIGINAL.CentroidInitialization.KMEANS_PLUS_PLUS,
    preserve_sparsity: bool = False,
    cluster_per_channel: bool = False,
    **kwargs: Any,
) -> Any:
    """Let the kernels of a model, a layer or a list of layers have few different values.

    The result is of the Keras that was given, and is not compiled. What was given is not changed,
    and is not clustered along.

    Raises UnsupportedModelError for a model that is subclassed or was never built, UsageError for
    a model that is clustered already.
    """
    settings = {
        "number_of_clusters": number_of_clusters,
        "cluster_centroids_init": cluster_centroids_init,
        "preserve_sparsity": preserve_sparsity,
        "cluster_per_channel": cluster_per_channel,
    }
    if isinstance(to_cluster, list):
        return [cluster_weights(layer, **settings, **kwargs) for layer in to_cluster]
    if is_model(to_cluster):
        wrapped = _ORIGINAL.cluster_weights(to_keras2(to_cluster), **settings)
        adapt_fit(wrapped)
        return wrapped
    if not is_keras3(to_cluster):
        return _ORIGINAL.cluster_weights(to_cluster, **settings, **kwargs)
    require_tensorflow()
    if isinstance(to_cluster, keras.Model):
        return _clustered_model(to_cluster, settings)
    return ClusterWeights.around(to_cluster, **settings, **kwargs)


def strip_clustering(model: Any) -> Any:
    """A new model without the wrappers, with the clustered weights; it is not compiled."""
    if not is_keras3(model):
        return _ORIGINAL.strip_clustering(model)
    values: dict[int, np.ndarray] = {}
    for layer in clustered_layers(model):
        values.update(layer.clustered_values())
    stripped, pairs = without_wrappers(model, ClusterWeights)
    for inner, fresh in pairs:
        for ours, theirs in zip(inner.weights, fresh.weights, strict=True):
            if id(ours) in values:
                theirs.assign(values[id(ours)])
    return stripped


@contextmanager
def cluster_scope() -> Iterator[None]:
    """Let either Keras load models with clustering wrappers."""
    classes = {"ClusterWeights": ClusterWeights}
    with _ORIGINAL.cluster_scope(), keras.saving.custom_object_scope(classes):
        yield


# The original keeps its version with preserve_sparsity and cluster_per_channel here.
experimental = SimpleNamespace(
    cluster_weights=cluster_weights, cluster=SimpleNamespace(cluster_weights=cluster_weights)
)


def _clustered_model(model: Any, settings: dict[str, Any]) -> Any:
    if any(clustered_layers(model)):
        raise UsageError(
            f"Layers of '{model.name}' are clustered already: strip_clustering comes first."
        )

    def wrapped(layer: Any) -> Any:
        weights = clusterable_weights(layer)
        sizes = [int(np.prod(weight.shape)) for weight in weights.values()]
        if sizes and max(sizes) <= settings["number_of_clusters"]:
            warnings.warn(
                f"Layer '{layer.name}' is not clustered: its {max(sizes)} weights are no more "
                f"than {settings['number_of_clusters']} clusters.",
                stacklevel=2,
            )
            weights = {}
        return ClusterWeights.around(layer, **settings) if weights else copied_layer(layer)

    return with_layers(model, wrapped)
