"""Trained weights in the place of those that an engine rounded."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from tests.tflite import trained_files
from tfgreen.flatbuffer import TfliteModel
from tfgreen.tflite.fake_quantization import FakeQuantized, read_fake_quantization
from tfgreen.tflite.quantizers import AiEdgeQuantizer
from tfgreen.tflite.trained_weights import Stamped, with_trained_weights


@cache
def trained(weight_scales: tuple[float, ...] = (0.01, 0.02), bits: int = 8) -> FakeQuantized:
    content = trained_files.dense(weight_scales=weight_scales, weight_dtype=f"uint{bits}")
    found = read_fake_quantization(content)
    assert found is not None
    return found


def stamped(source: FakeQuantized) -> Stamped:
    engine = AiEdgeQuantizer(source.plain, "int8")
    return with_trained_weights(engine.quantize(source.ranges), source.plain, source.weights)


def weights_and_bias(content: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    model = TfliteModel.from_bytes(content)
    (op,) = (op for op in model.ops if op.name == "FULLY_CONNECTED")
    weights, bias = (model.tensors[i] for i in op.inputs[1:3])
    return (
        model.constant(weights.index),
        weights.quantization.scales,
        model.constant(bias.index),
        bias.quantization.scales,
    )


@pytest.mark.parametrize(
    ("scales", "bits", "stored"),
    [
        ((0.01, 0.02), 8, [[50, -100, 24], [64, 5, -30]]),
        ((0.02,), 8, [[25, -50, 12], [64, 5, -30]]),
        ((0.2,), 4, [[3, -5, 1], [6, 1, -3]]),
    ],
)
def test_integers_and_scales_are_the_trained_ones(
    scales: tuple[float, ...], bits: int, stored: list[list[int]]
) -> None:
    made = stamped(trained(scales, bits))
    weights, weight_scales, bias, bias_scales = weights_and_bias(made.content)
    assert weights.tolist() == stored and made.rounded_again == ()
    np.testing.assert_allclose(weight_scales, np.broadcast_to(scales, 2), rtol=1e-6)
    # the bias counts in steps of input scale * weight scale
    np.testing.assert_allclose(bias_scales, trained_files.INPUT_SCALE * weight_scales, rtol=1e-6)
    np.testing.assert_array_equal(bias, np.rint(trained_files.BIAS / bias_scales))


def test_an_engine_alone_rounds_to_other_steps() -> None:
    source = trained((0.2,), 4)
    weights, *_ = weights_and_bias(AiEdgeQuantizer(source.plain, "int8").quantize(source.ranges))
    assert np.abs(weights).max() == 127


def test_the_file_answers_as_trained() -> None:
    x = trained_files.runs()
    given = trained_files.run(stamped(trained()).content, x)
    np.testing.assert_allclose(given, trained_files.answers(x), atol=1e-5)


def test_what_does_not_fit_is_told_and_left() -> None:
    source = trained()
    other = replace(source.weights["y"], stored=source.weights["y"].stored[:, :2])
    content = AiEdgeQuantizer(source.plain, "int8").quantize(source.ranges)
    made = with_trained_weights(content, source.plain, {"y": other})
    assert made.rounded_again == ("y",)
    np.testing.assert_array_equal(weights_and_bias(made.content)[0], weights_and_bias(content)[0])


def test_other_ops_stay() -> None:
    source = trained()
    content = AiEdgeQuantizer(source.plain, "int8").quantize(source.ranges)
    made = with_trained_weights(content, source.plain, {})
    assert made.rounded_again == ()
    np.testing.assert_array_equal(weights_and_bias(made.content)[0], weights_and_bias(content)[0])
