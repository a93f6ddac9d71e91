"""Compensated rounding: less error in the layer's output, and nothing else changed."""

from __future__ import annotations

import numpy as np
import pytest

from tests import tiny_models
from tests.tflite.float_layers import VALID, Window
from tests.tflite.int8_layers import INPUT_SCALE, Layer, error_of
from tests.tiny_models import OpSpec, TensorSpec
from tfgreen.flatbuffer import TfliteModel
from tfgreen.tflite.patches import patch_sampler
from tfgreen.tflite.rounding import with_compensated_rounding
from tfgreen.tflite.statistics import ActivationStatistics, collect_statistics

KINDS = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")
RUNS = 60


def layer_of(kind: str, seed: int = 0, has_bias: bool = True) -> Layer:
    rng = np.random.default_rng(seed)
    shape, weights = {
        "FULLY_CONNECTED": ((1, 24), (6, 24)),
        "CONV_2D": ((1, 7, 7, 4), (6, 3, 3, 4)),
        "DEPTHWISE_CONV_2D": ((1, 7, 7, 5), (1, 3, 3, 5)),
    }[kind]
    bias = rng.normal(size=weights[3] if weights[0] == 1 else weights[0]) if has_bias else None
    return Layer(kind, shape, rng.normal(size=weights), bias, Window(3, padding=VALID))


def inputs_of(layer: Layer, seed: int = 1, mean: float = 1.0) -> np.ndarray:
    """Values that go up and down together, channel by channel and run by run, as activations do."""
    rng = np.random.default_rng(seed)
    inner = len(layer.shape) - 1
    together = rng.normal(size=(RUNS, *[1] * (inner + 1)))
    smooth = rng.normal(size=(RUNS, *layer.shape[:-1], 1)) * np.linspace(0.5, 1, layer.shape[-1])
    alone = rng.normal(size=(RUNS, *layer.shape))
    return (mean + 2 * together + smooth + 0.3 * alone).astype(np.float32)


def statistics_of(layer: Layer, **options: float) -> ActivationStatistics:
    return collect_statistics(layer.float_file(), [inputs_of(layer, **options)])


def rows_of(layer: Layer, inputs: np.ndarray) -> np.ndarray:
    """Every row of every run, whatever the statistics sampled."""
    model = TfliteModel.from_bytes(layer.float_file())
    sampler = patch_sampler(model, model.ops[0], runs=1)
    return np.concatenate([sampler.take(run) for run in inputs]).astype(np.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_the_output_is_nearer_to_the_float_layer_s(kind: str) -> None:
    layer = layer_of(kind)
    content = with_compensated_rounding(layer.int8_file(), layer.float_file(), statistics_of(layer))
    for seed in (1, 2):  # the runs that it was made from, and others
        rows = rows_of(layer, inputs_of(layer, seed))
        assert error_of(layer, content, rows) < 0.5 * error_of(layer, layer.int8_file(), rows)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(8))
def test_it_is_never_worse_on_the_rows_that_it_saw(kind: str, seed: int) -> None:
    layer = layer_of(kind, seed)
    statistics = statistics_of(layer, seed=seed + 1)
    content = with_compensated_rounding(layer.int8_file(), layer.float_file(), statistics)
    rows = statistics.patches[0].reshape(-1, *statistics.patches[0].shape[2:])
    assert error_of(layer, content, rows) <= error_of(layer, layer.int8_file(), rows)


@pytest.mark.parametrize("has_bias", [True, False])
def test_a_mean_of_the_inputs_is_taken_care_of(has_bias: bool) -> None:
    """Independent inputs far from zero: the bias takes the mean's error, or the weights do."""
    layer = layer_of("FULLY_CONNECTED", has_bias=has_bias)
    inputs = np.random.default_rng(5).normal(8.0, 1.0, (RUNS, *layer.shape)).astype(np.float32)
    statistics = collect_statistics(layer.float_file(), [inputs])
    content = with_compensated_rounding(layer.int8_file(), layer.float_file(), statistics)
    rows = rows_of(layer, inputs)
    assert error_of(layer, content, rows) < 0.2 * error_of(layer, layer.int8_file(), rows)


def test_inputs_without_correlation_change_nothing_but_the_bias() -> None:
    """If the errors cannot compensate each other, nearest is best: rows of the unit matrix."""
    layer = Layer("FULLY_CONNECTED", (1, 8), np.random.default_rng(0).normal(size=(3, 8)), None)
    runs = np.concatenate([np.eye(8), -np.eye(8)]).astype(np.float32)[:, None]
    statistics = collect_statistics(layer.float_file(), [runs])
    content = with_compensated_rounding(layer.int8_file(), layer.float_file(), statistics)
    before, after = TfliteModel.from_bytes(layer.int8_file()), TfliteModel.from_bytes(content)
    np.testing.assert_array_equal(after.constant(1), before.constant(1))


def test_the_bias_carries_the_mean_error() -> None:
    """bias' = bias - mean(x) · (rounded - real), in steps of input scale times weight scale."""
    layer = layer_of("FULLY_CONNECTED")
    statistics = statistics_of(layer)
    content = with_compensated_rounding(layer.int8_file(), layer.float_file(), statistics)
    model = TfliteModel.from_bytes(content)
    steps = layer.scales.astype(np.float64)
    rounded = model.constant(model.tensor_index("weights")) * steps[:, None]
    mean = statistics.patches[0].reshape(-1, 24).mean(axis=0, dtype=np.float64)
    real = layer.bias.astype(np.float32) - (rounded - layer.weights.astype(np.float32)) @ mean
    expected = np.rint(real / (INPUT_SCALE * steps))
    stored = model.constant(model.tensor_index("bias"))
    assert np.abs(stored - expected).max() <= 1  # the scale of the bias is stored in float32


@pytest.mark.parametrize("kind", KINDS)
def test_only_stored_weights_and_biases_change(kind: str) -> None:
    layer = layer_of(kind)
    before = TfliteModel.from_bytes(layer.int8_file())
    content = with_compensated_rounding(before.content, layer.float_file(), statistics_of(layer))
    after = TfliteModel.from_bytes(content)
    assert [op.name for op in after.ops] == [op.name for op in before.ops]
    for one, other in zip(before.tensors, after.tensors, strict=True):
        assert (one.name, one.shape, one.dtype) == (other.name, other.shape, other.dtype)
        np.testing.assert_array_equal(one.quantization.scales, other.quantization.scales)
        np.testing.assert_array_equal(one.quantization.zero_points, other.quantization.zero_points)
    index = before.tensor_index("weights")
    moved = np.abs(after.constant(index).astype(int) - before.constant(index))
    assert 0 < moved.max() <= 12 and after.constant(index).min() >= -127
    assert before.content == layer.int8_file()


def two_dense(shared: str, shares_buffer: bool = False) -> tuple[Layer, bytes, bytes]:
    """x → y and x2 → y2 with the same values in `shared` ("weights", "bias" or neither)."""
    layer = layer_of("FULLY_CONNECTED")
    files = []
    for content in (layer.float_file(), layer.int8_file()):
        root = tiny_models.unpack(content)
        graph = root.subgraphs[0]
        own = {t.name.decode(): i for i, t in enumerate(graph.tensors)}
        copies = {"x": "x2", "y": "y2", "weights": "weights2", "bias": "bias2"}
        copies.pop(shared, None)
        twin = {}
        for name, copied in copies.items():
            tensor = tiny_models.unpack(content).subgraphs[0].tensors[own[name]]
            tensor.name = copied.encode()
            if name in ("weights", "bias") and not shares_buffer:
                root.buffers.append(tiny_models.unpack(content).buffers[tensor.buffer])
                tensor.buffer = len(root.buffers) - 1
            twin[own[name]] = len(graph.tensors)
            graph.tensors.append(tensor)
        op = tiny_models.unpack(content).subgraphs[0].operators[0]
        op.inputs = [twin.get(i, i) for i in op.inputs]
        op.outputs = [twin[i] for i in op.outputs]
        graph.operators.append(op)
        graph.inputs = [*graph.inputs, twin[own["x"]]]
        graph.outputs = [*graph.outputs, twin[own["y"]]]
        files.append(tiny_models.pack(root))
    return layer, *files


@pytest.mark.parametrize("shared", ["weights", "bias"])
def test_what_two_layers_share_stays_as_it_is(shared: str) -> None:
    layer, float_content, content = two_dense(shared)
    inputs = [inputs_of(layer, 1), inputs_of(layer, 2, mean=-3.0)]
    statistics = collect_statistics(float_content, inputs)
    after = with_compensated_rounding(content, float_content, statistics)
    for name in ("weights", "bias"):
        before, now = TfliteModel.from_bytes(content), TfliteModel.from_bytes(after)
        index = before.tensor_index(name)
        np.testing.assert_array_equal(now.constant(index), before.constant(index))


@pytest.mark.parametrize("shares_buffer", [True, False])
def test_each_tensor_of_a_shared_buffer_gets_values_of_its_own(shares_buffer: bool) -> None:
    layer, float_content, content = two_dense("", shares_buffer)
    inputs = [inputs_of(layer, 1), inputs_of(layer, 2, mean=-3.0)]
    statistics = collect_statistics(float_content, inputs)
    after = TfliteModel.from_bytes(with_compensated_rounding(content, float_content, statistics))
    alone = TfliteModel.from_bytes(
        with_compensated_rounding(layer.int8_file(), layer.float_file(), statistics_of(layer))
    )
    first, second = (after.constant(after.tensor_index(n)) for n in ("weights", "weights2"))
    np.testing.assert_array_equal(first, alone.constant(alone.tensor_index("weights")))
    assert (first != second).any(), "the other layer has other inputs"


def requantized_output() -> bytes:
    """A file in which another op than the layer writes the tensor of its name."""
    specs = [TensorSpec(name, (1, 6), scale=0.1) for name in ("x", "y")]
    return tiny_models.build(specs, [OpSpec("QUANTIZE", ["x"], ["y"])], ["x"], ["y"])


def test_layers_without_a_match_stay_as_they_are() -> None:
    layer = layer_of("FULLY_CONNECTED")
    statistics = statistics_of(layer)
    other = tiny_models.unpack(layer.float_file())
    for tensor in other.subgraphs[0].tensors:
        tensor.name = b"another_" + tensor.name
    for content, twin in (
        (layer.int8_file(), tiny_models.pack(other)),
        (layer.float_file(), layer.float_file()),
        (tiny_models.int8_softmax(4), layer.float_file()),
        (requantized_output(), layer.float_file()),
    ):
        after = TfliteModel.from_bytes(with_compensated_rounding(content, twin, statistics))
        before = TfliteModel.from_bytes(content)
        for tensor in before.tensors:
            if tensor.is_constant:
                expected = before.constant(tensor.index)
                np.testing.assert_array_equal(after.constant(tensor.index), expected)


def test_inputs_that_are_always_zero_are_survived() -> None:
    layer = layer_of("DEPTHWISE_CONV_2D")
    inputs = inputs_of(layer)
    inputs[..., 2] = 0
    statistics = collect_statistics(layer.float_file(), [inputs])
    content = with_compensated_rounding(layer.int8_file(), layer.float_file(), statistics)
    before, after = TfliteModel.from_bytes(layer.int8_file()), TfliteModel.from_bytes(content)
    weights = before.tensor_index("weights")
    np.testing.assert_array_equal(after.constant(weights)[..., 2], before.constant(weights)[..., 2])
    assert (after.constant(weights) != before.constant(weights)).any()


@pytest.mark.parametrize("kind", KINDS)
def test_zeros_stay_zeros(kind: str) -> None:
    layer = layer_of(kind)
    layer.weights[np.abs(layer.weights) < 1] = 0
    content = with_compensated_rounding(layer.int8_file(), layer.float_file(), statistics_of(layer))
    stored = TfliteModel.from_bytes(content).constant(1)
    assert stored.shape == layer.weights.shape
    assert not stored[layer.weights == 0].any()


def test_shared_values_stay_shared() -> None:
    layer = layer_of("CONV_2D")
    layer.weights[:] = np.round(2 * layer.weights) / 2  # some ten values in 36 weights a channel
    content = with_compensated_rounding(layer.int8_file(), layer.float_file(), statistics_of(layer))
    stored = TfliteModel.from_bytes(content).constant(1)
    for real, channel in zip(layer.weights, stored, strict=True):
        assert len(np.unique(channel)) <= len(np.unique(real))
