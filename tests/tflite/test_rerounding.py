"""Layers fitted again: nearer to the float layer, on samples that were not fitted to."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tflite.float_layers import VALID, Window, run
from tests.tflite.int8_layers import Layer
from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.flatbuffer import TfliteModel, with_constants
from tfgreen.flatbuffer.edits import with_requantized_constants
from tfgreen.tflite.quantizers import AiEdgeQuantizer
from tfgreen.tflite.rerounding import Fit, refitted

KINDS = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")
RUNS = 48


def layer_of(kind: str, seed: int = 0) -> Layer:
    rng = np.random.default_rng(seed)
    shape, weights = {
        "FULLY_CONNECTED": ((1, 40), (8, 40)),
        "CONV_2D": ((1, 7, 7, 6), (8, 3, 3, 6)),
        "DEPTHWISE_CONV_2D": ((1, 7, 7, 5), (1, 3, 3, 5)),
    }[kind]
    bias = rng.normal(size=weights[3] if weights[0] == 1 else weights[0])
    return Layer(kind, shape, rng.normal(size=weights), bias, Window(3, padding=VALID))


def inputs_of(layer: Layer, seed: int) -> np.ndarray:
    """Values that go up and down together, as activations do, (runs, *shape)."""
    rng = np.random.default_rng(seed)
    together = rng.normal(size=(RUNS, *[1] * len(layer.shape)))
    return (1 + together + 0.3 * rng.normal(size=(RUNS, *layer.shape))).astype(np.float32)


def error(content: bytes, layer: Layer, inputs: np.ndarray, boundary: str) -> float:
    """Mean squared error of the real-valued output."""
    true = np.stack([run(layer.float_file(), x) for x in inputs])
    model = TfliteModel.from_bytes(content)
    if boundary == "float32":
        given = np.stack([run(content, x) for x in inputs])
    else:
        source, target = (
            model.tensors[i].quantization for i in (model.inputs[0], model.outputs[0])
        )
        stored = np.clip(np.rint(inputs / source.scales[0]) + source.zero_points[0], -128, 127)
        raw = np.stack([run(content, x) for x in stored.astype(np.int8)]).astype(np.float64)
        given = (raw - target.zero_points[0]) * target.scales[0]
    return float(np.mean((given - true) ** 2))


@pytest.mark.parametrize("kind", ["FULLY_CONNECTED", "CONV_2D"])
def test_4_bit_weights_lose_less(kind: str) -> None:
    layer = layer_of(kind)
    before = AiEdgeQuantizer(layer.float_file(), "weights-int4").quantize({})
    assert any(tensor.dtype == "int4" for tensor in TfliteModel.from_bytes(before).tensors)
    fit = Fit(weights=True, scales=True)
    after = refitted(before, layer.float_file(), [inputs_of(layer, 1)], fit)
    fresh = inputs_of(layer, 2)
    losses = [error(content, layer, fresh, "float32") for content in (before, after)]
    assert losses[1] < 0.5 * losses[0]
    old, new = TfliteModel.from_bytes(before), TfliteModel.from_bytes(after)
    assert [op.name for op in new.ops] == [op.name for op in old.ops]
    assert [t.dtype for t in new.tensors] == [t.dtype for t in old.tensors]


@pytest.mark.parametrize("kind", KINDS)
def test_the_bias_takes_the_mean_error_of_each_channel(kind: str) -> None:
    """A wrong bias is put right, to a step of its own, from what the file's inputs really are."""
    layer = layer_of(kind)
    content = _with_wrong_bias(layer, 40)
    after = TfliteModel.from_bytes(
        refitted(content, layer.float_file(), [inputs_of(layer, 1)], Fit())
    )
    right = TfliteModel.from_bytes(layer.int8_file())
    index = right.tensor_index("bias")
    steps = right.tensors[index].quantization.scales
    off = (after.constant(index) - right.constant(index)) * steps
    wrong = (TfliteModel.from_bytes(content).constant(index) - right.constant(index)) * steps
    assert np.abs(off).mean() < 0.25 * np.abs(wrong).mean()
    np.testing.assert_array_equal(
        after.constant(right.tensor_index("weights")), right.constant(right.tensor_index("weights"))
    )


@pytest.mark.parametrize("kind", KINDS)
def test_scales_of_channels_are_put_right(kind: str) -> None:
    """Channels that answer with 90 % of what they should get their scale back.

    To 3 %: rounded weights and clipped inputs have a best scale of their own.
    """
    layer = layer_of(kind)
    content = _with_scales(layer, 0.9)
    after = TfliteModel.from_bytes(
        refitted(content, layer.float_file(), [inputs_of(layer, 1)], Fit(gains=True))
    )
    scales = after.tensors[after.tensor_index("weights")].quantization.scales
    np.testing.assert_allclose(scales, layer.scales, rtol=0.03)
    bias = after.tensors[after.tensor_index("bias")].quantization.scales
    np.testing.assert_allclose(bias, layer.scales / 32, rtol=0.03)


def test_layers_that_share_their_weights_are_left_alone() -> None:
    weights = np.random.default_rng(0).integers(-127, 127, (6, 6)).astype(np.int8)
    tensors = [
        TensorSpec("x", (1, 6), scale=1 / 32),
        TensorSpec("w", (6, 6), "int8", [1 / 127] * 6, data=weights),
        TensorSpec("a", (1, 6), scale=1 / 16),
        TensorSpec("b", (1, 6), scale=1 / 8),
    ]
    ops = [OpSpec("FULLY_CONNECTED", [s, "w"], [t], version=4) for s, t in (("x", "a"), ("a", "b"))]
    content = build(tensors, ops, ["x"], ["b"])
    plain = [TensorSpec(t.name, t.shape, "float32") for t in tensors]
    plain[1] = TensorSpec("w", (6, 6), "float32", data=(weights / 127).astype(np.float32))
    float_ops = [OpSpec("FULLY_CONNECTED", op.inputs, op.outputs) for op in ops]
    float_content = build(plain, float_ops, ["x"], ["b"])
    runs = np.ones((4, 1, 6), np.float32)
    after = TfliteModel.from_bytes(refitted(content, float_content, [runs], Fit(weights=True)))
    np.testing.assert_array_equal(after.constant(1), weights)


def _with_wrong_bias(layer: Layer, steps: int) -> bytes:
    wrong = Layer(layer.kind, layer.shape, layer.weights, layer.bias, layer.window)
    model = TfliteModel.from_bytes(wrong.int8_file())
    index = model.tensor_index("bias")
    return with_constants(model, {index: model.constant(index) + np.int32(steps * 20)})


def _with_scales(layer: Layer, factor: float) -> bytes:
    model = TfliteModel.from_bytes(layer.int8_file())
    changed = {}
    for name in ("weights", "bias"):
        index = model.tensor_index(name)
        changed[index] = (
            model.constant(index),
            model.tensors[index].quantization.scales * np.float32(factor),
        )
    return with_requantized_constants(model, changed)
