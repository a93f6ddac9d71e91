"""A Keras 3 layer whose weights share a few values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tfgreen.compression.kernels import kernels_of
from tfgreen.errors import UsageError
from tfgreen.models.bridge.nodes import functional_of
from tfgreen.models.keras2 import model_optimization
from tfgreen.tfmot.originals import clustering_module, has_value, tensorflow_variable
from tfgreen.tfmot.wrapping import LayerWrapper


def clusterable_weights(layer: Any) -> dict[str, Any]:
    """What the original clusters in such a layer, by name: kernels, but no depthwise ones.

    A `ClusterableLayer` tells them itself.
    """
    if isinstance(layer, model_optimization().clustering.keras.ClusterableLayer):
        return dict(layer.get_clusterable_weights())
    kernels = [kernel for kernel in kernels_of(layer) if not kernel.is_depthwise]
    return {f"{kernel.name}_{i}": kernel.variable for i, kernel in enumerate(kernels)}


@keras.saving.register_keras_serializable(package="tfgreen")
class ClusterWeights(LayerWrapper):
    """The original's wrapper of this name for a Keras 3 layer; its arguments are the original's.

    Weights that are no more than the clusters are left alone.
    """

    prefix = "cluster_"

    def __init__(
        self,
        layer: Any,
        number_of_clusters: int,
        cluster_centroids_init: Any = "CentroidInitialization.KMEANS_PLUS_PLUS",
        preserve_sparsity: bool = False,
        cluster_per_channel: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(layer, **kwargs)
        fewest = 3 if preserve_sparsity else 2
        if not isinstance(number_of_clusters, int) or number_of_clusters < fewest:
            raise ValueError(
                f"number_of_clusters received {number_of_clusters!r}; expected a whole number "
                f"from {fewest} on."
            )
        self.number_of_clusters = number_of_clusters
        self.cluster_centroids_init = clustering_module().CentroidInitialization(
            cluster_centroids_init
        )
        self.preserve_sparsity = preserve_sparsity
        self.cluster_per_channel = cluster_per_channel and isinstance(layer, keras.layers.Conv2D)
        self._clusters: _Clusters | None = None

    def build(self, input_shape: Any = None) -> None:
        """Add the centroids of each clusterable weight, and which of them each number takes."""
        if not self.layer.built:
            self.layer.build(input_shape)
        weights = {
            name: weight
            for name, weight in clusterable_weights(self.layer).items()
            if int(np.prod(weight.shape)) > self.number_of_clusters
        }
        _refuse_without_values(self.layer, weights)
        if weights:
            self._clusters = _Clusters(self, weights, self._variables_of(weights))

    def _variables_of(self, weights: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """The variables that the original keeps for each weight, under its names for them."""
        found: dict[str, dict[str, Any]] = {"cluster_centroids": {}, "pulling_indices": {}}
        if self.preserve_sparsity:
            found |= {"sparsity_masks": {}, "zero_idx": {}}
        for name, weight in weights.items():
            channels = (weight.shape[-1],) if self.cluster_per_channel else ()
            shapes = {
                "cluster_centroids": ((*channels, self.number_of_clusters), weight.dtype),
                "pulling_indices": (weight.shape, "int64"),
                "sparsity_masks": (weight.shape, "float32"),
                "zero_idx": (channels, "int64"),
            }
            for kind, made in found.items():
                shape, dtype = shapes[kind]
                made[name] = self.add_weight(
                    shape=shape,
                    initializer="zeros",
                    dtype=dtype,
                    trainable=kind == "cluster_centroids",
                    autocast=False,
                    name=f"{kind}_{name}",
                )
        return found

    def call(self, inputs: Any, *args: Any, training: Any = None, **kwargs: Any) -> Any:
        """The inner layer's output with the clustered weights in the place of its own."""
        if self._clusters is None:
            return super().call(inputs, *args, **kwargs)
        clustered = self._clusters.clustered()
        with keras.StatelessScope(clustered, collect_losses=True) as scope:
            outputs = super().call(inputs, *args, **kwargs)
        for variable in self.layer.non_trainable_variables:
            value = scope.get_current_value(variable)
            if value is not None:
                variable.assign(value)
        for loss in scope.losses:
            self.add_loss(loss)
        return outputs

    def clustered_values(self) -> dict[int, np.ndarray]:
        """The present value of each clustered weight by the id of its variable."""
        if self._clusters is None:
            return {}
        return {id(weight): np.asarray(value) for weight, value in self._clusters.clustered()}

    def get_config(self) -> dict[str, Any]:
        """The arguments as plain values."""
        return {
            **super().get_config(),
            "number_of_clusters": self.number_of_clusters,
            "cluster_centroids_init": self.cluster_centroids_init.value,
            "preserve_sparsity": self.preserve_sparsity,
            "cluster_per_channel": self.cluster_per_channel,
        }


class _Clusters:
    """The centroids of one layer, updated by the original's own function.

    The attributes have the names that this function looks for. Keras does not track them.
    """

    def __init__(
        self, layer: ClusterWeights, weights: dict[str, Any], variables: dict[str, dict[str, Any]]
    ) -> None:
        self._layer, self._weights = layer, weights
        self.preserve_sparsity = layer.preserve_sparsity
        self.cluster_per_channel = layer.cluster_per_channel
        self.num_channels = next(weight.shape[-1] for weight in weights.values())
        self.original_clusterable_weights = _inside(weights)
        self.cluster_centroids = _inside(variables["cluster_centroids"])
        self.pulling_indices = _inside(variables["pulling_indices"])
        self.sparsity_masks = _inside(variables.get("sparsity_masks", {}))
        self.zero_idx = _inside(variables.get("zero_idx", {}))
        self.clustering_algorithms = {
            name: self._algorithm(name)(centroids, data_format="channels_last")
            for name, centroids in self.cluster_centroids.items()
        }
        self._values: dict[str, Any] = {}
        for name in weights:
            self._begin(name)

    def clustered(self) -> list[tuple[Any, Any]]:
        """Each weight with the tensor that stands for it, after an update of its centroids."""
        clustering_module().ClusterWeights.update_clustered_weights_associations(self)
        return [(weight, self._values[name]) for name, weight in self._weights.items()]

    def set_weight_to_layer(self, name: str, value: Any) -> None:
        """Called by the original's update."""
        self._values[name] = value

    def _get_zero_idx_mask(self, centroids: Any, zero: Any) -> Any:
        return clustering_module().ClusterWeights._get_zero_idx_mask(self, centroids, zero)

    def _get_zero_centroid(self, centroids: Any, mask: Any) -> Any:
        return clustering_module().ClusterWeights._get_zero_centroid(self, centroids, mask)

    def _begin(self, name: str) -> None:
        """Set the first centroids of a weight."""
        import tensorflow as tf

        weight, centroids = self.original_clusterable_weights[name], self.cluster_centroids[name]
        with tf.init_scope():
            values = self._first_centroids(weight)
            # An empty kernel has one centroid only: zero.
            missing = centroids.shape[-1] - values.shape[-1]
            centroids.assign(np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)]))
            indices = self.clustering_algorithms[name].get_pulling_indices(weight)
            self.pulling_indices[name].assign(indices)
            if self.preserve_sparsity:
                zero = tf.argmin(tf.abs(centroids), axis=-1)
                self.zero_idx[name].assign(zero)
                self.sparsity_masks[name].assign(tf.cast(indices != zero, tf.float32))

    def _first_centroids(self, weight: Any) -> np.ndarray:
        factory = clustering_module().clustering_centroids.CentroidsInitializerFactory
        first = factory.get_centroid_initializer(self._layer.cluster_centroids_init)(
            weight,
            self._layer.number_of_clusters,
            self.cluster_per_channel,
            "channels_last",
            self.preserve_sparsity,
        )
        return np.asarray(first.get_cluster_centroids())

    def _algorithm(self, name: str) -> Any:
        registry = clustering_module().clustering_registry
        if self.cluster_per_channel:
            return registry.ClusteringAlgorithmPerChannel
        return registry.ClusteringLookupRegistry().get_clustering_impl(self._layer.layer, name)


def _inside(variables: dict[str, Any]) -> dict[str, Any]:
    return {name: tensorflow_variable(variable) for name, variable in variables.items()}


def _refuse_without_values(layer: Any, weights: dict[str, Any]) -> None:
    if not all(has_value(weight) for weight in weights.values()):
        raise UsageError(
            f"Layer '{layer.name}' has no weights yet that could be clustered: its model was not "
            "built before it was called. Give the model an Input first, and train it before it is "
            "clustered."
        )


def clustered_layers(model: Any) -> Iterator[ClusterWeights]:
    """The wrapped layers of a Keras 3 model, those of nested models too."""
    for layer in model.layers:
        if isinstance(layer, ClusterWeights):
            yield layer
        elif isinstance(layer, keras.Model) and functional_of(layer) is not None:
            yield from clustered_layers(layer)
