"""A kernel of few values that stays one while it is trained to be rounded.

TensorFlow Model Optimization's own quantizer for clustered kernels gives each output channel of a
convolution centroids of its own, so that a kernel of 16 values ends with 16 in each channel. Here
the whole kernel shares its centroids. Gradients are those of Model Optimization: a centroid gets
the sum of its weights' gradients, and each weight its own, by which it may go to another cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfgreen.models.keras2 import tf_keras
from tfgreen.models.qat_layers import ChannelWeightsQuantizer, Layout

_keras: Any = tf_keras()

MOST_CLUSTERS = 256
"""int8 has not more values."""


def cluster_count(kernel: np.ndarray) -> int | None:
    """How many different values a clustered kernel has, zero included; None if it is not one.

    >>> cluster_count(np.array([[0.5, 0.0], [0.5, 0.0], [-1.0, 0.5]]))
    3
    >>> cluster_count(np.array([0.1, 0.2, 0.0, 0.0])) is None
    True
    """
    values, counts = np.unique(kernel, return_counts=True)
    repeats = bool((counts[values != 0] > 1).any())
    return len(values) if repeats and len(values) <= MOST_CLUSTERS else None


@_keras.saving.register_keras_serializable(package="tfgreen")
class ClusteredWeightsQuantizer(ChannelWeightsQuantizer):
    """Rounds a clustered kernel with one symmetric step; its clusters are read when it is built.

    keep_zeros: weights that are zero when training begins stay zero, and so does their centroid.
    """

    def __init__(
        self, num_bits: int, layout: Layout, keep_zeros: bool = False, is_tied: bool = True
    ) -> None:
        super().__init__(num_bits, layout, keep_zeros, is_tied)

    def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
        """Add the centroids, which are trained, to the variables."""
        weights = super().build(tensor_shape, name, layer)
        kernel = getattr(layer.layer, name)
        values = np.unique(kernel.numpy())
        weights["centroids"] = layer.add_weight(
            name=f"{name}_centroids",
            shape=values.shape,
            initializer=_keras.initializers.Constant(values),
        )
        if self.keep_zeros:
            weights["centroid_mask"] = tf.cast(tf.not_equal(values, 0.0), kernel.dtype)
        return weights

    def kept(self, kernel: Any, weights: Mapping[str, Any]) -> Any:
        """The kernel with each weight at the nearest centroid."""
        centroids = weights["centroids"]
        if self.keep_zeros:
            centroids = centroids * weights["centroid_mask"]
        centroids = tf.sort(centroids)
        borders = (centroids[1:] + centroids[:-1]) / 2
        index = tf.searchsorted(borders, tf.reshape(kernel, (-1,)))
        nearest = tf.reshape(tf.gather(centroids, index), tf.shape(kernel))
        # Adds nothing; the gradient passes to the weights as well.
        return super().kept(nearest + (kernel - tf.stop_gradient(kernel)), weights)
