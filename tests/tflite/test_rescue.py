"""A model that no engine quantizes as it is: refused, or quantized with channels made alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.tflite.chained_networks import RELU, images, separable
from tfgreen.data import Samples
from tfgreen.errors import ConversionError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import load_profile
from tfgreen.runtimes import Task, dequantize, quantize_inputs, run_tasks
from tfgreen.tflite import ConversionOptions, Treated, rescue
from tfgreen.tflite.conversion import Conversion
from tfgreen.tflite.rescue import convert_or_equalize

PROFILE = load_profile("mobile-int8")


def answers(content: bytes, inputs: dict[str, np.ndarray]) -> np.ndarray:
    model = TfliteModel.from_bytes(content)
    task = Task("test", content, quantize_inputs(model, Samples(inputs)))
    (outcome,) = run_tasks("reference", [task])
    assert outcome.ok, outcome.message
    return dequantize(outcome.outputs[0], model.tensors[model.outputs[0]].quantization)


def test_sizes_far_apart(tmp_path: Path) -> None:
    content = separable(RELU, spreads=(1e7, 1e7))
    path = tmp_path / "far-apart.tflite"
    path.write_bytes(content)
    inputs = {"x": images(32)[:, 0]}
    options = ConversionOptions()
    with pytest.raises(ConversionError, match="far apart are one cause: export with --repair"):
        convert_or_equalize(path, PROFILE, inputs, options, equalizes=False)
    rescued = convert_or_equalize(path, PROFILE, inputs, options, equalizes=True)
    assert rescued.quantized_from != rescued.conversion.float_content
    assert "were made alike" in rescued.conversion.facts["notes"][-1]
    true = answers(content, inputs).astype(np.float64)
    noise = true - answers(rescued.conversion.content, inputs)
    assert 10 * np.log10((true**2).sum() / (noise**2).sum()) > 25


def refuses(*_args: object, **_options: object) -> Conversion:
    raise ConversionError("No engine could quantize the model.")


@pytest.mark.parametrize("helps", ["not", "nothing to do"])
def test_the_first_reason_is_told(monkeypatch: pytest.MonkeyPatch, helps: str) -> None:
    def treat(*_args: object) -> Treated:
        if helps == "not":
            raise ConversionError("Neither could this one.")
        return Treated(b"", b"", False, "The channels are alike already.", {})

    monkeypatch.setattr(rescue, "convert", refuses)
    monkeypatch.setattr(
        rescue, "convert_float", lambda *_: Conversion(b"", b"", (), (), {"notes": []})
    )
    monkeypatch.setattr(rescue, "treat", treat)
    with pytest.raises(ConversionError, match="No engine could quantize the model"):
        convert_or_equalize(
            "model.keras", PROFILE, {"x": images(2)[:, 0]}, ConversionOptions(), equalizes=True
        )
