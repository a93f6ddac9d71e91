"""Clustered kernels that stay clustered, with numbers by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.models.keras2_models import layers
from tfgreen.models.qat_clusters import MOST_CLUSTERS, ClusteredWeightsQuantizer, cluster_count
from tfgreen.models.qat_layers import RoundedWeights, WeightsConfig

KERNEL = np.array([[0.0, 1.0], [-2.0, 1.0], [1.0, 0.0]], np.float32)


def wrapper(keep_zeros: bool = False) -> Any:
    dense = layers.Dense(2, name="dense")
    dense.build((None, 3))
    dense.set_weights([KERNEL, np.zeros(2, np.float32)])
    quantizer = ClusteredWeightsQuantizer(8, "last", keep_zeros)
    made = RoundedWeights(dense, WeightsConfig("kernel", quantizer, None))
    made.build((None, 3))
    return made


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ([0.5, 0.5, -1.0, 0.0], 3),
        ([0.5, 0.25, 0.0, 0.0], None),
        ([*range(1, MOST_CLUSTERS + 1)] * 2, MOST_CLUSTERS),
        ([*range(1, MOST_CLUSTERS + 2)] * 2, None),
    ],
)
def test_a_kernel_is_clustered_where_values_repeat(values: list[float], count: int | None) -> None:
    assert cluster_count(np.array(values, np.float32)) == count


def test_weights_go_to_the_nearest_centroid_and_are_rounded_with_one_step() -> None:
    ((kernel, quantizer, variables),) = wrapper().kernels
    np.testing.assert_array_equal(variables["centroids"], [-2.0, 0.0, 1.0])
    kernel.assign(KERNEL + np.array([[0.4, -0.4], [0.9, 0.0], [0.0, 0.6]], np.float32))
    expected = np.array([[0.0, 1.0], [-2.0, 1.0], [1.0, 1.0]])
    np.testing.assert_array_equal(quantizer.kept(kernel, variables), expected)
    step = 2.0 / 127
    given = quantizer(kernel, True, variables)
    np.testing.assert_allclose(given, np.round(expected / step) * step, atol=1e-6)


def test_a_centroid_learns_from_all_its_weights_and_each_weight_from_its_own() -> None:
    import tensorflow as tf

    ((kernel, quantizer, variables),) = wrapper().kernels
    upstream = tf.constant([[1.0, 2.0], [4.0, 8.0], [16.0, 32.0]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(quantizer(kernel, True, variables) * upstream)
    by_centroid, by_weight = tape.gradient(loss, [variables["centroids"], kernel])
    np.testing.assert_array_equal(by_centroid, [4.0, 1.0 + 32.0, 2.0 + 8.0 + 16.0])
    np.testing.assert_array_equal(by_weight, upstream)


def test_zeros_and_their_centroid_stay_zero() -> None:
    ((kernel, quantizer, variables),) = wrapper(keep_zeros=True).kernels
    kernel.assign(KERNEL + 0.9)
    variables["centroids"].assign([-2.5, 0.7, 1.5])
    kept = quantizer.kept(kernel, variables).numpy()
    assert (kept[KERNEL == 0] == 0).all()
    assert set(np.unique(kept)) <= {-2.5, 0.0, 1.5}


def test_the_config_makes_the_quantizer_again() -> None:
    quantizer = ClusteredWeightsQuantizer(4, "transposed", keep_zeros=True)
    again = ClusteredWeightsQuantizer.from_config(quantizer.get_config())
    assert again.get_config() == quantizer.get_config()
    assert again.is_tied
