"""Masks against arithmetic, and against the masks that TensorFlow Model Optimization makes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfgreen.compression.pruning.masks import (
    absolute_threshold,
    global_shares,
    kept_from,
    largest,
    zero_share,
)


def test_threshold_is_compared_in_the_weights_precision() -> None:
    limit = np.float32(0.1)
    kernel = np.array([[limit, -limit, np.nextafter(limit, np.float32(0)), 0]], "float32")
    assert kept_from(kernel, 0.1).tolist() == [[True, True, False, False]]


def test_quantile_of_all_kernels_of_the_layer() -> None:
    kernels = [np.array([[1.0, -2.0]]), np.array([[3.0], [-4.0], [5.0]])]
    # |w| are 1, 2, 3, 4, 5: the quantile .75 is the fourth of them.
    assert absolute_threshold(0.75, "quantile", kernels) == 4.0


def test_standard_deviation_of_all_kernels_of_the_layer() -> None:
    kernels = [np.array([[3.0, -3.0]]), np.array([[1.0, -1.0]])]
    # The mean is 0 and the mean of the squares (9 + 9 + 1 + 1) / 4 = 5.
    assert absolute_threshold(2.0, "standard-deviation", kernels) == pytest.approx(2 * 5**0.5)


def test_absolute_threshold_is_itself() -> None:
    assert absolute_threshold(1e-2, "absolute", [np.ones((2, 2))]) == 1e-2


@pytest.mark.parametrize(
    ("sparsity", "kept"),
    # round(10 * (1 - sparsity)), half to even in float32, and never less than one.
    [(0.0, 10), (0.25, 8), (0.5, 5), (0.75, 2), (0.9, 1), (0.99, 1)],
)
def test_the_largest_stay(sparsity: float, kept: int) -> None:
    kernel = np.array([[1, -10, 3, -8, 5], [6, -7, 4, -9, 2]], "float32")
    mask = largest(kernel, sparsity)
    assert sorted(np.abs(kernel[mask])) == list(range(11 - kept, 11))


def test_equal_magnitudes_stay_together() -> None:
    assert largest(np.array([[2.0, -2.0, 2.0, 1.0]]), 0.75).tolist() == [[True, True, True, False]]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.floats(0, 0.984375, width=32))
def test_same_masks_as_the_original(seed: int, size: int, sparsity: float) -> None:
    import tensorflow as tf

    from tfgreen.models.keras2 import model_optimization, tf_keras

    layer = tf_keras().layers.Dense(size)
    pruned = model_optimization().sparsity.keras.prune_low_magnitude(
        layer, lambda step: (True, tf.constant(sparsity))
    )
    pruned.build((None, 3))
    kernel = np.random.default_rng(seed).normal(size=(3, size)).astype("float32")
    _, mask = pruned.pruning_obj._update_mask(tf.constant(kernel))
    np.testing.assert_array_equal(largest(kernel, sparsity), mask.numpy().astype(bool))


def test_one_ranking_across_kernels() -> None:
    first = np.array([[1, 2], [3, 4]], "float32")
    second = np.array([[5, 6, 7, 8, 9, 10]], "float32")
    # The smallest 6 of 10: four of the first, two of the second.
    assert global_shares([first, second], 0.6) == [1.0, pytest.approx(2 / 6)]
    assert global_shares([first, second], 0.0) == [0.0, 0.0]


def test_share_of_zeros() -> None:
    assert zero_share([np.array([[0.0, -0.0, 1.0]]), np.array([[2.0]])]) == 0.5
    assert zero_share([]) == 0.0
