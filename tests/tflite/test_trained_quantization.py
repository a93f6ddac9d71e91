"""The quantized file of a trained model."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tflite import trained_files
from tfgreen.errors import UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import load_profile
from tfgreen.tflite.fake_quantization import FakeQuantized, read_fake_quantization
from tfgreen.tflite.quantization import Quantized
from tfgreen.tflite.trained_quantization import quantize_as_trained


def trained(**options: object) -> FakeQuantized:
    found = read_fake_quantization(trained_files.dense(**options))
    assert found is not None
    return found


def quantized(source: FakeQuantized, name: str = "mobile-int8") -> Quantized:
    return quantize_as_trained(
        source, [trained_files.runs()], load_profile(name), lambda *step: None
    )


@pytest.mark.parametrize("scales", [(0.01, 0.02), (0.02,)])
def test_the_file_is_what_was_trained(scales: tuple[float, ...]) -> None:
    made = quantized(trained(weight_scales=scales))
    x = trained_files.runs(200)
    given = trained_files.run(made.content, x)
    expected = trained_files.answers(x, np.broadcast_to(scales, 2))
    # a sum may fall to the other side of a step where the bias was rounded
    quanta = np.abs(given - expected) / trained_files.OUTPUT_SCALE
    assert quanta.max() <= 1.001 and (quanta > 0.5).mean() < 0.02
    assert made.to_facts()["route"] == {
        "quantizer": made.winner.quantizer,
        "ranges": "trained",
        "rounding": "trained",
    }
    assert {c.quantizer for c in made.candidates} == {"tensorflow", "ai-edge-quantizer"}
    assert all(c.fault is None for c in made.candidates)


def test_the_trained_steps_are_in_the_file_and_not_those_of_the_data() -> None:
    model = TfliteModel.from_bytes(quantized(trained()).content)
    scales = [
        float(model.tensors[i].quantization.scales[0]) for i in (*model.inputs, *model.outputs)
    ]
    assert scales == pytest.approx([trained_files.INPUT_SCALE, trained_files.OUTPUT_SCALE])


def test_sixteen_bits() -> None:
    source = trained(activation_dtype="uint16")
    model = TfliteModel.from_bytes(quantized(source, "microcontroller-int16x8").content)
    (output,) = (model.tensors[i] for i in model.outputs)
    assert output.dtype == "int16"
    assert float(output.quantization.scales[0]) == pytest.approx(trained_files.OUTPUT_SCALE)


@pytest.mark.parametrize(
    ("dtype", "profile", "wanted"),
    [("uint16", "mobile-int8", 8), ("uint8", "microcontroller-int16x8", 16)],
)
def test_another_width_is_refused(dtype: str, profile: str, wanted: int) -> None:
    with pytest.raises(UnsupportedModelError, match=rf"activation_bits={wanted}\)"):
        quantized(trained(activation_dtype=dtype), profile)


def test_the_boundary_is_the_profile_s() -> None:
    profile = load_profile("mobile-int8").with_overrides(io="uint8:float32")
    made = quantize_as_trained(trained(), [trained_files.runs()], profile, lambda *step: None)
    model = TfliteModel.from_bytes(made.content)
    dtypes = [model.tensors[i].dtype for i in (*model.inputs, *model.outputs)]
    assert dtypes == ["uint8", "float32"]
