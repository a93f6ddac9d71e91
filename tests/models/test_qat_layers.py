"""Quantizers and layers of quantization-aware training, with numbers by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.keras2_models import functional, keras, layers
from tfgreen.models.keras2 import model_optimization
from tfgreen.models.loading import load_model
from tfgreen.models.qat_layers import (
    BatchMatMul,
    CausalMask,
    ChannelWeightsQuantizer,
    FixedRangeQuantizer,
    RoundedActivation,
    RoundedWeights,
    WeightsConfig,
)

quantizers: Any = model_optimization().quantization.keras.quantizers


def rounded_by_channel(kernel: np.ndarray, axis: int | tuple[int, ...], bits: int = 8) -> Any:
    """Symmetric steps for each channel: largest |w| / 127 (or 7), in NumPy."""
    most = 2 ** (bits - 1) - 1
    others = tuple(i for i in range(kernel.ndim) if i not in np.atleast_1d(axis))
    step = np.abs(kernel).max(axis=others, keepdims=True) / most
    return np.round(kernel / step) * step


@pytest.mark.parametrize(
    ("layout", "shape", "axes"),
    [
        ("last", (3, 4, 5), (2,)),
        ("last", (3, 3, 4, 5), (3,)),
        ("last", (2, 3, 3, 4, 5), (4,)),
        ("depthwise", (3, 3, 4, 2), (2, 3)),
        ("depthwise", (3, 4, 2), (1, 2)),
        ("transposed", (3, 3, 5, 4), (2,)),
    ],
)
@pytest.mark.parametrize("bits", [4, 6, 8])
def test_each_channel_has_its_own_step(
    layout: Any, shape: tuple[int, ...], axes: tuple[int, ...], bits: int
) -> None:
    kernel = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    quantizer = ChannelWeightsQuantizer(bits, layout)
    variables = quantizer.build(shape, "kernel", layers.Layer())
    assert variables["min_var"].shape == [int(np.prod([shape[a] for a in axes]))]
    given = quantizer(keras.backend.constant(kernel), True, variables).numpy()
    np.testing.assert_allclose(given, rounded_by_channel(kernel, axes, bits), atol=1e-6)
    again = quantizer(keras.backend.constant(kernel), False, variables).numpy()
    np.testing.assert_array_equal(again, given)


@pytest.mark.parametrize("bits", [4, 5, 8])
def test_a_tied_kernel_has_one_step_and_few_bits_few_values(bits: int) -> None:
    kernel = np.random.default_rng(0).normal(size=(3, 3, 4, 5)).astype(np.float32)
    most = 2 ** (bits - 1) - 1
    step = np.abs(kernel).max() / most
    quantizer = ChannelWeightsQuantizer(bits, "last", is_tied=True)
    variables = quantizer.build(kernel.shape, "kernel", layers.Layer())
    given = quantizer(keras.backend.constant(kernel), True, variables).numpy()
    np.testing.assert_allclose(given, np.round(kernel / step) * step, atol=1e-6)
    assert len(np.unique(np.round(given / step))) <= 2 * most + 1


def test_a_kernel_by_channel_is_rounded_as_tf_mot_does() -> None:
    kernel = np.random.default_rng(0).normal(size=(3, 3, 4, 5)).astype(np.float32)
    theirs = quantizers.LastValueQuantizer(8, True, True, True)
    given = [
        q(keras.backend.constant(kernel), True, q.build(kernel.shape, "kernel", layers.Layer()))
        for q in (theirs, ChannelWeightsQuantizer(8, "last"))
    ]
    np.testing.assert_array_equal(given[0].numpy(), given[1].numpy())


def test_zeros_stay_zero() -> None:
    wrapped = wrapper(keep_zeros=True)
    (kernel, quantizer, variables) = wrapped.kernels[0]
    kernel.assign(np.ones(kernel.shape))
    assert quantizer(kernel, True, variables).numpy()[0, 0] == 0.0


@pytest.mark.parametrize(
    ("value", "rounded"),
    [(0.5, 0.5), (0.501, 0.5), (0.503, 129 / 256), (-1.0, 0.0), (2.0, 255 / 256)],
)
def test_prescribed_steps_of_a_softmax(value: float, rounded: float) -> None:
    quantizer = FixedRangeQuantizer(8, 0.0, 255 / 256)
    given = quantizer(keras.backend.constant([value]), False, {})
    assert given.numpy()[0] == pytest.approx(rounded, abs=1e-7)


def test_an_activation_follows_the_data_in_training_alone() -> None:
    layer = RoundedActivation(quantizers.MovingAverageQuantizer(8, False, False, False))
    x = keras.backend.constant([[-2.0, 0.0, 10.0]])
    layer(x, training=False)
    assert [float(v.numpy()) for v in layer.ranges.values()] == [-6.0, 6.0]
    layer(x, training=True)
    # TF-MOT's moving average goes a thousandth of the way to the batch's minimum and maximum
    low, high = (float(layer.ranges[key].numpy()) for key in ("min_var", "max_var"))
    assert low == pytest.approx(-6 + 4 * 0.001) and high == pytest.approx(6 + 4 * 0.001)


def test_masks_of_sequences_pass_through() -> None:
    tokens = layers.Input((4,), dtype="int32")
    x = layers.Embedding(9, 3, mask_zero=True)(tokens)
    rounded = RoundedActivation(quantizers.MovingAverageQuantizer(8, False, False, False))(x)
    assert rounded._keras_mask is not None
    dense = layers.Dense(2, name="dense")
    dense.build((None, 4, 3))
    config = WeightsConfig("kernel", ChannelWeightsQuantizer(8, "last"), None)
    assert RoundedWeights(dense, config)(rounded)._keras_mask is not None


def wrapper(keep_zeros: bool = False) -> Any:
    dense = layers.Dense(2, name="dense")
    dense.build((None, 3))
    kernel = np.full((3, 2), 0.5, np.float32)
    kernel[0, 0] = 0.0
    dense.set_weights([kernel, np.zeros(2, np.float32)])
    output = quantizers.MovingAverageQuantizer(8, False, False, False)
    config = WeightsConfig("kernel", ChannelWeightsQuantizer(8, "last", keep_zeros), output)
    made = RoundedWeights(dense, config)
    made.build((None, 3))
    return made


def test_a_wrapper_has_the_layer_s_name_and_shows_its_ranges() -> None:
    made = wrapper()
    assert made.name == "dense" and set(made.ranges) == {"min_var", "max_var"}
    ((kernel, _, variables),) = made.kernels
    assert kernel.shape == [3, 2] and variables["max_var"].shape == [2]


def test_a_saved_model_is_read_back_equal(tmp_path: Path) -> None:
    rounded = RoundedActivation(FixedRangeQuantizer(8, -1.0, 127 / 128), name="rounded")
    learned = RoundedActivation(quantizers.AllValuesQuantizer(8, False, False, False), name="in")
    x = layers.Input((3,))
    model = keras.Model(x, rounded(wrapper()(learned(x))))
    data = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    model(data, training=True)
    path = tmp_path / "model.h5"
    with pytest.warns(UserWarning, match="HDF5"):
        model.save(path)
    again = load_model(path)
    np.testing.assert_array_equal(again.predict(data, verbose=0), model.predict(data, verbose=0))


def test_products_and_the_causal_mask() -> None:
    a = np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3)
    given = BatchMatMul(True)([keras.backend.constant(a)] * 2).numpy()
    np.testing.assert_array_equal(given, a @ a.swapaxes(-1, -2))
    scores = CausalMask(30.0)(keras.backend.zeros((1, 3, 3))).numpy()[0]
    np.testing.assert_array_equal(scores, [[0, -30, -30], [0, 0, -30], [0, 0, 0]])


def test_configs_make_the_layers_again() -> None:
    model = functional((3, 3), CausalMask(7.0, name="mask"))
    again = keras.Model.from_config(model.get_config())
    assert again.get_layer("mask").penalty == 7.0
    assert ChannelWeightsQuantizer(4, "depthwise", True).get_config() == {
        "num_bits": 4,
        "layout": "depthwise",
        "keep_zeros": True,
        "is_tied": False,
    }
