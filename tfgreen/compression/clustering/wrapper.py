"""The wrapper that clusters one layer: TensorFlow Model Optimization's, with its gaps closed.

* The layer inside is called as a layer: dropout in it knows that it is in training, masks of
  padded time steps and activity regularizers work, and mixed precision computes.
* A mask is passed on to the next layer.
* A frozen layer stays frozen: its centroids do not learn.
* Layers with several tensors as arguments (attention) can be clustered.
"""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

from tfgreen.compression.kernels import is_normalization
from tfgreen.models.keras2 import model_optimization, tf_keras

_INITS = {
    "linear": "LINEAR",
    "kmeans++": "KMEANS_PLUS_PLUS",
    "density": "DENSITY_BASED",
    "random": "RANDOM",
}


def clusterable_weights(layer: Any) -> dict[str, Any] | None:
    """The weights of a built tf_keras layer that can be clustered, by name.

    Empty where there is nothing to cluster on purpose; None for a layer that TensorFlow Model
    Optimization does not know and that is no `ClusterableLayer`.
    """
    if isinstance(layer, model_optimization().clustering.keras.ClusterableLayer):
        return dict(layer.get_clusterable_weights())
    registry = _module().clustering_registry.ClusteringRegistry
    if is_normalization(layer):
        return {}
    names = registry._LAYERS_WEIGHTS_MAP.get(type(layer))
    if names is not None:
        return {name: getattr(layer, name) for name in names}
    # To the registry every layer without trainable weights is one without kernels, a frozen too.
    composite = {*registry._SUPPORTED_RNN_LAYERS, *registry._SUPPORTED_MHA_LAYERS}
    if type(layer) not in composite or not registry.supports(layer):
        return None
    return dict(registry.make_clusterable(layer).get_clusterable_weights())


def cluster_layer(layer: Any, clusters: int, init: str, preserve_sparsity: bool) -> Any:
    """Wrap a layer of a model that nobody else holds.

    Args:
        layer: a built tf_keras layer that has clusterable weights.
        clusters: how many different values each of them may have.
        init: where the centroids begin, by the names that `Clustering` takes.
        preserve_sparsity: keep zeros zero.
    """
    module = _module()
    weights = list((clusterable_weights(layer) or {}).items())
    wrapper = _wrapper_class(_original_class(layer))(
        layer,
        clusters,
        module.CentroidInitialization[_INITS[init]],
        preserve_sparsity,
        # In 16 bits the centroids would be rounded.
        dtype=layer.variable_dtype,
    )
    # Found again when it is built, a frozen layer would have none.
    layer.get_clusterable_weights = lambda: weights
    wrapper.supports_masking = layer.supports_masking
    return wrapper


@cache
def _module() -> Any:
    """Where TensorFlow Model Optimization defines its wrappers."""
    wrapper = model_optimization().clustering.keras.cluster_weights(
        tf_keras().layers.Dense(1), number_of_clusters=2
    )
    return inspect.getmodule(type(wrapper))


def _original_class(layer: Any) -> type:
    layers, module = tf_keras().layers, _module()
    if isinstance(layer, (layers.RNN, layers.Bidirectional)):
        return module.ClusterWeightsRNN  # type: ignore[no-any-return]
    if isinstance(layer, layers.MultiHeadAttention):
        return module.ClusterWeightsMHA  # type: ignore[no-any-return]
    return module.ClusterWeights  # type: ignore[no-any-return]


@cache
def _wrapper_class(original: Any) -> type:
    class ClusterWeights(original):  # type: ignore[misc]
        def call(self, inputs: Any, *args: Any, training: Any = None, **kwargs: Any) -> Any:
            self.update_clustered_weights_associations()
            if _takes_training(self.layer):
                kwargs["training"] = training
            return self.layer(inputs, *args, **kwargs)

        def set_weight_to_layer(self, weight_name: str, new_weight: Any) -> None:
            import tensorflow as tf

            cast = tf.cast(new_weight, self.layer.compute_dtype)
            super().set_weight_to_layer(weight_name, cast)

        def clustered_weights(self) -> dict[str, Any]:
            """The weights as they are with the present centroids, by name."""
            self.update_clustered_weights_associations()
            return {
                name: self.clustering_algorithms[name].get_clustered_weight(indices, original)
                for (name, indices), original in zip(
                    self.pulling_indices.items(),
                    self.original_clusterable_weights.values(),
                    strict=True,
                )
            }

        def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
            return self.layer.compute_mask(inputs, mask)

        @property
        def trainable_weights(self) -> list[Any]:
            return super().trainable_weights if self.layer.trainable else []

        @property
        def non_trainable_weights(self) -> list[Any]:
            frozen = [] if self.layer.trainable else self._trainable_weights
            return [*super().non_trainable_weights, *frozen]

    ClusterWeights.__name__ = ClusterWeights.__qualname__ = original.__name__
    return ClusterWeights


def _takes_training(layer: Any) -> bool:
    return "training" in inspect.signature(layer.call).parameters
