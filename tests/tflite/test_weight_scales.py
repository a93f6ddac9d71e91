"""A profile that takes one scale a kernel gets no other, from either engine."""

from __future__ import annotations

import pytest

from tests.tflite.chained_networks import RELU, images, separable
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import load_profile
from tfgreen.tflite.quantization import quantize


@pytest.mark.parametrize("weight_scales", ["channel", "tensor"])
def test_scales_of_weights(weight_scales: str) -> None:
    profile = load_profile("mobile-int8").model_copy(update={"weight_scales": weight_scales})
    made = quantize(separable(RELU), [images()], profile, lambda step, done, of: None)
    assert all(candidate.fault is None for candidate in made.candidates)
    model = TfliteModel.from_bytes(made.content)
    counts = {
        op.name: model.tensors[op.inputs[1]].quantization.scales.size
        for op in model.ops
        if op.name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    }
    wanted = {"CONV_2D": 4, "DEPTHWISE_CONV_2D": 4, "FULLY_CONNECTED": 5}
    assert counts == (wanted if weight_scales == "channel" else dict.fromkeys(wanted, 1))
