"""The order of samples in an epoch, from a seed and the epoch's number alone.

A training that is taken up again in epoch 7 sees the samples of epoch 7 in the same order, without
the six epochs before.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tfgreen.errors import UsageError


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The indices of `count` samples, (count,) int64, in the order of this epoch (from 0 on).

    >>> epoch_order(5, seed=1, epoch=0), epoch_order(5, seed=1, epoch=1)
    (array([...]), array([...]))
    """
    if count < 0 or seed < 0 or epoch < 0:
        raise UsageError(
            f"Received count={count}, seed={seed}, epoch={epoch}; expected whole numbers that are "
            "not negative."
        )
    return np.random.default_rng((seed, epoch)).permutation(count)


def ordered_batches(arrays: Any, batch_size: int, seed: int, first_epoch: int = 0) -> Any:
    """An endless tf.data.Dataset of batches, epoch after epoch; give `fit` steps_per_epoch.

    arrays: a structure of arrays, (n, ...) each. The last batch of an epoch may be smaller.
    """
    import tensorflow as tf

    tensors = tf.nest.map_structure(_tensor, arrays)
    count = len(tf.nest.flatten(tensors)[0])

    def indices(epoch: Any) -> np.ndarray:
        return epoch_order(count, seed, int(epoch))

    def one_epoch(epoch: Any) -> Any:
        order = tf.numpy_function(indices, [epoch], tf.int64, stateful=False)
        order = tf.ensure_shape(order, (count,))
        return tf.data.Dataset.from_tensor_slices(order).batch(batch_size)

    def samples(order: Any) -> Any:
        return tf.nest.map_structure(lambda tensor: tf.gather(tensor, order), tensors)

    numbers = tf.data.Dataset.counter(first_epoch).flat_map(one_epoch)
    return numbers.map(samples).prefetch(1)


def _tensor(array: Any) -> Any:
    """As Keras takes arrays: numbers of 64 bits become its own float type."""
    import tensorflow as tf

    values = np.asarray(array)
    return tf.constant(values.astype(np.float32) if values.dtype == np.float64 else values)
