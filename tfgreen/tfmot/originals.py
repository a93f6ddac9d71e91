"""Parts of TensorFlow Model Optimization that compute on plain TensorFlow variables.

They are not public there, but nothing else computes exactly its masks and centroids.
"""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

from tfgreen.models.keras2 import model_optimization, tf_keras


@cache
def pruning_module() -> Any:
    """Where `PruneLowMagnitude` is defined; it knows `pruning_impl`."""
    wrapper = model_optimization().sparsity.keras.prune_low_magnitude(tf_keras().layers.Dense(1))
    return inspect.getmodule(type(wrapper))


@cache
def clustering_module() -> Any:
    """Where `ClusterWeights` is defined; it knows the registry and the kinds of centroids."""
    wrapper = model_optimization().clustering.keras.cluster_weights(
        tf_keras().layers.Dense(1), number_of_clusters=2
    )
    return inspect.getmodule(type(wrapper))


def tensorflow_variable(variable: Any) -> Any | None:
    """The TensorFlow variable inside a Keras 3 variable, uncast; None while there is none."""
    import tensorflow as tf

    value = getattr(variable, "_value", None)
    return value if isinstance(value, tf.Variable) else None


def has_value(variable: Any) -> bool:
    """Whether a Keras 3 variable has a value now: not while `fit` builds a model on the way."""
    import tensorflow as tf

    inside = tensorflow_variable(variable)
    with tf.init_scope():
        return inside is not None and bool(inside.is_initialized())
