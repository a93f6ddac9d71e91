"""Rows taken from a layer's input: times its weights they are the layer's real output."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests import tiny_models
from tests.tflite.float_layers import SAME, VALID, Window, float_conv, float_dense, run
from tests.tiny_models import OpSpec, TensorSpec
from tfgreen.flatbuffer import TfliteModel
from tfgreen.tflite.patches import LONGEST_ROW, PatchSampler, patch_sampler

RUNS = 5

windows = st.builds(
    Window,
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 3),
    padding=st.sampled_from([SAME, VALID]),
)
shapes = st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 9), st.integers(1, 4))


def sampler_of(content: bytes, runs: int = 1) -> PatchSampler | None:
    model = TfliteModel.from_bytes(content)
    return patch_sampler(model, model.ops[0], runs)


def close(given_output: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(given_output, expected, rtol=1e-5, atol=1e-5)


@given(windows, shapes, st.integers(1, 5), st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_rows_times_weights_are_the_convolution(window, shape, filters, seed) -> None:
    assume(window.output_size(shape[1]) > 0 and window.output_size(shape[2]) > 0)
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(filters, window.kernel, window.kernel, shape[3]))
    bias, x = rng.normal(size=filters), rng.normal(size=shape).astype(np.float32)
    content = float_conv(shape, weights, bias, window)
    rows = sampler_of(content).take(x)
    output = run(content, x)
    assert rows.shape == (output.size // filters, weights[0].size)
    close(output.reshape(-1, filters), rows @ weights.reshape(filters, -1).T + bias)


@given(windows, shapes, st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_rows_times_weights_are_the_depthwise_convolution(window, shape, seed) -> None:
    assume(window.output_size(shape[1]) > 0 and window.output_size(shape[2]) > 0)
    rng = np.random.default_rng(seed)
    channels = shape[3]
    weights = rng.normal(size=(1, window.kernel, window.kernel, channels))
    bias, x = rng.normal(size=channels), rng.normal(size=shape).astype(np.float32)
    content = float_conv(shape, weights, bias, window, "DEPTHWISE_CONV_2D", depthMultiplier=1)
    rows = sampler_of(content).take(x)
    output = run(content, x)
    assert rows.shape == (output.size // channels, window.kernel**2, channels)
    expected = np.einsum("rkc,kc->rc", rows, weights.reshape(-1, channels)) + bias
    close(output.reshape(-1, channels), expected)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(1, 9), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_rows_times_weights_are_the_dense_layer(leading, features, units) -> None:
    rng = np.random.default_rng(features)
    shape = (*leading, features)
    weights, bias = rng.normal(size=(units, features)), rng.normal(size=units)
    content = float_dense(shape, weights, bias)
    x = rng.normal(size=shape).astype(np.float32)
    rows = sampler_of(content).take(x)
    close(run(content, x).reshape(-1, units), rows @ weights.T + bias)


def test_unequal_strides_and_kernels_of_two_axes() -> None:
    rng = np.random.default_rng(0)
    weights, bias = rng.normal(size=(2, 10, 4, 1)), rng.normal(size=2)
    x = rng.normal(size=(1, 49, 10, 1)).astype(np.float32)
    tensors = [
        TensorSpec("x", x.shape, "float32"),
        TensorSpec("weights", weights.shape, "float32", data=weights.astype(np.float32)),
        TensorSpec("bias", (2,), "float32", data=bias.astype(np.float32)),
        TensorSpec("y", (1, 25, 10, 2), "float32"),
    ]
    options = {"strideH": 2, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    op = OpSpec("CONV_2D", ["x", "weights", "bias"], ["y"], options | {"padding": SAME})
    content = tiny_models.build(tensors, [op], ["x"], ["y"])
    rows = sampler_of(content).take(x)
    close(run(content, x).reshape(-1, 2), rows @ weights.reshape(2, -1).T + bias)


def test_rows_of_large_layers_are_a_sample_that_is_always_the_same() -> None:
    """1,024 rows over 5 runs: 205 of the 30 * 30 positions of each."""
    rng = np.random.default_rng(0)
    weights, bias = rng.normal(size=(3, 3, 3, 2)), np.zeros(3)
    content = float_conv((1, 30, 30, 2), weights, bias, Window())
    x = rng.normal(size=(1, 30, 30, 2)).astype(np.float32)
    sampler, again = sampler_of(content, RUNS), sampler_of(content, RUNS)
    rows = sampler.take(x)
    assert len(rows) == sampler.rows_per_run == -(-1024 // RUNS)
    np.testing.assert_array_equal(rows, again.take(x))
    outputs = {tuple(v) for v in np.round(run(content, x).reshape(-1, 3), 3)}
    taken = {tuple(v) for v in np.round(rows @ weights.reshape(3, -1).T, 3).astype(np.float32)}
    assert len(taken - outputs) < 5  # but for the last digit's rounding


@pytest.mark.parametrize(
    ("features", "rows"), [(8, 1024), (300, 4 * 300), (2000, 4096)], ids=["least", "4", "most"]
)
def test_how_many_rows_are_taken(features: int, rows: int) -> None:
    content = float_dense((1, 5000, features), np.ones((1, features)))
    assert sampler_of(content).rows_per_run == rows
    assert sampler_of(content, 10).rows_per_run == -(-rows // 10)


def conv_of(weights: TensorSpec, source: TensorSpec | None = None, **options: int) -> bytes:
    source = source or TensorSpec("x", (1, 4, 4, 4), "float32")
    tensors = [source, weights, TensorSpec("y", (1, 4, 4, 4), "float32")]
    name = "DEPTHWISE_CONV_2D" if "depthMultiplier" in options else "CONV_2D"
    op = OpSpec(name, ["x", "weights", ""], ["y"], {**Window().options, **options})
    return tiny_models.build(tensors, [op], ["x"], ["y"])


def constant(*shape: int) -> TensorSpec:
    return TensorSpec("weights", shape, "float32", data=np.ones(shape, np.float32))


@pytest.mark.parametrize(
    "content",
    [
        conv_of(constant(4, 3, 3, 2)),
        conv_of(constant(1, 3, 3, 4), TensorSpec("x", (1, 4, 4, 2), "float32"), depthMultiplier=2),
        conv_of(TensorSpec("weights", (4, 3, 3, 4), "float32")),
        tiny_models.int8_conv(),
        tiny_models.float_add(),
        float_dense((1, LONGEST_ROW + 1), np.ones((1, LONGEST_ROW + 1))),
    ],
    ids=["grouped", "depth-multiplier", "not-constant", "int8", "no-weights", "too-long"],
)
def test_layers_whose_rows_are_not_taken(content: bytes) -> None:
    assert sampler_of(content) is None
