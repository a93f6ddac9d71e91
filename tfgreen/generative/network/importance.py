"""How much a decoder would miss each of its heads and neurons, told by calibration text."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfgreen.generative.network.units import Units


def importance(model: keras.Model, units: Sequence[Units], windows: np.ndarray) -> list[np.ndarray]:
    """A score (count,) for the units of each layer, 0 or more: activation times gradient.

    A gate g = 1 before the rows of the closing matrix W that belong to a unit has the gradient
    dL/dg = sum(W * dL/dW) over those rows, which is the sum of activation times gradient over all
    positions. The score is its size, averaged over the windows: by how much the loss changes, to
    first order, when the unit goes (Michel et al. 2019, arXiv 1905.10650, for heads; Molchanov et
    al. 2019, arXiv 1906.10771, for neurons).

    windows: tokens (n, length + 1), int32: what is read, and one further what should be said.
    """
    kernels = [one.closing.kernel for one in units]

    @tf.function(reduce_retracing=True)
    def gates(tokens: tf.Tensor) -> list[tf.Tensor]:
        values = [tf.convert_to_tensor(kernel) for kernel in kernels]
        with tf.GradientTape() as tape:
            for value in values:
                tape.watch(value)
            with keras.StatelessScope(state_mapping=list(zip(kernels, values, strict=True))):
                logits = model(tokens[:, :-1], training=False)
            labels = tokens[:, 1:]
            loss = ops.mean(ops.sparse_categorical_crossentropy(labels, logits, from_logits=True))
        gradients = tape.gradient(loss, values)
        rows = [ops.sum(w * g, axis=1) for w, g in zip(values, gradients, strict=True)]
        return [
            ops.abs(ops.sum(ops.reshape(row, (-1, one.size)), axis=1))
            for row, one in zip(rows, units, strict=True)
        ]

    totals = [np.zeros(one.count) for one in units]
    for window in windows:
        for total, found in zip(totals, gates(tf.constant(window[None])), strict=True):
            total += found.numpy()
    return [total / len(windows) for total in totals]
