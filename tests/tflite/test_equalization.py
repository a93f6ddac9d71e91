"""Equalization: channels become alike, and the float file computes what it did."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tflite.chained_networks import NONE, RELU, RELU6, images, separable, two_dense
from tests.tflite.float_layers import run
from tfgreen.flatbuffer import TfliteModel
from tfgreen.tflite.chains import activation_of, column_extremes, pairs, row_extremes
from tfgreen.tflite.equalization import equalized
from tfgreen.tflite.float_repairs import channel_maxima, difference, equalize


def maxima_of(content: bytes, runs: np.ndarray) -> dict[int, np.ndarray]:
    model = TfliteModel.from_bytes(content)
    return channel_maxima(model, [pair.tensor for pair in pairs(model)], [runs])


@pytest.mark.parametrize("activation", [NONE, RELU])
def test_both_sides_get_the_geometric_mean(activation: int) -> None:
    """s = sqrt(r1 r2) / r2: weights of 1 and 100 on the one side, 1 and 4 on the other."""
    content = two_dense(np.diag([1.0, 100.0]), np.diag([1.0, 4.0]), activation)
    runs = np.ones((4, 1, 2), np.float32)
    done = equalized(content, maxima_of(content, runs))
    model = TfliteModel.from_bytes(done.content)
    first = np.diag(model.constant(model.tensor_index("first/weights")))
    second = np.diag(model.constant(model.tensor_index("second/weights")))
    np.testing.assert_allclose(first, np.sqrt([1 * 1, 100 * 4]), rtol=1e-6)
    np.testing.assert_allclose(second, np.sqrt([1 * 1, 100 * 4]), rtol=1e-6)


@pytest.mark.parametrize("activation", [NONE, RELU, RELU6])
@pytest.mark.parametrize("seed", range(4))
def test_the_float_answers_stay(activation: int, seed: int) -> None:
    content = separable(activation, (30.0, 100.0), seed)
    done = equalize(content, [images(size=0.05)], "weights")
    assert set(done.layers) == {"conv", "depthwise"}
    fresh = images(32, 0.05, seed=seed + 10)  # not those whose extremes were measured
    assert difference(content, done.content, [fresh]) < 1e-5


def test_channels_are_alike_behind_it() -> None:
    content = separable(RELU, (50.0, 100.0))
    done = equalized(content, maxima_of(content, images()))
    model = TfliteModel.from_bytes(done.content)
    for pair in pairs(model):
        before = row_extremes(pair.first, model.constant(pair.first.inputs[1]))
        behind = column_extremes(pair.second, model.constant(pair.second.inputs[1]), len(before))
        np.testing.assert_allclose(before, behind, rtol=0.01)
    assert done.widest > 10


def test_activations_are_alike_in_front_of_a_depthwise_layer() -> None:
    content = separable(RELU, (50.0, 1.0))
    done = equalized(content, maxima_of(content, images()), by="activations")
    model = TfliteModel.from_bytes(done.content)
    largest = maxima_of(done.content, images())[model.tensor_index("conv")]
    np.testing.assert_allclose(largest, largest[0], rtol=1e-3)


def test_a_relu6_that_never_clips_becomes_a_relu() -> None:
    content = separable(RELU6, (30.0, 30.0))
    quiet = images(size=0.02)
    done = equalized(content, maxima_of(content, quiet))
    model = TfliteModel.from_bytes(done.content)
    assert [activation_of(op) for op in model.ops[:2]] == [RELU, RELU]
    assert not done.skipped


def test_channels_that_reach_6_keep_their_size() -> None:
    content = separable(RELU6, (30.0, 1.0))
    loud = images(size=0.35)
    maxima = maxima_of(content, loud)
    model = TfliteModel.from_bytes(content)
    reached = maxima[model.tensor_index("conv")] >= 5.99
    assert 0 < reached.sum() < len(reached)
    done = equalized(content, maxima)
    changed = TfliteModel.from_bytes(done.content)
    assert activation_of(changed.ops[0]) == RELU6
    assert "conv" in done.skipped
    weights = [m.constant(m.tensor_index("conv/weights")) for m in (model, changed)]
    np.testing.assert_array_equal(weights[0][reached], weights[1][reached])
    assert difference(content, done.content, [loud]) < 1e-5


def test_dead_channels_are_left_alone() -> None:
    content = two_dense(np.diag([1.0, 0.0, 3.0]), np.diag([1.0, 2.0, 3.0]))
    done = equalized(content, maxima_of(content, np.ones((4, 1, 3), np.float32)))
    x = np.ones((1, 3), np.float32)
    np.testing.assert_allclose(run(done.content, x), run(content, x), rtol=1e-6)


def test_a_tensor_with_another_reader_ends_the_chain() -> None:
    model = TfliteModel.from_bytes(separable(second_reader=True))
    assert [model.tensors[pair.tensor].name for pair in pairs(model)] == ["conv"]


def test_flattened_positions_share_the_factor_of_their_channel() -> None:
    model = TfliteModel.from_bytes(separable())
    assert [(pair.second.name, pair.repeats) for pair in pairs(model)] == [
        ("DEPTHWISE_CONV_2D", 1),
        ("FULLY_CONNECTED", 9),
    ]
