"""Float files with trained rounding, taken apart."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tflite import trained_files
from tfgreen.flatbuffer import TfliteModel, logits
from tfgreen.tflite.fake_quantization import FakeQuantized, read_fake_quantization


def taken_apart(**options: object) -> FakeQuantized:
    found = read_fake_quantization(trained_files.dense(**options))
    assert found is not None
    return found


def ops(content: bytes) -> list[str]:
    return [op.name for op in TfliteModel.from_bytes(content).ops]


def test_the_simulated_file_computes_what_was_trained() -> None:
    trained = taken_apart()
    assert ops(trained.simulated) == [
        "QUANTIZE",
        "DEQUANTIZE",
        "FULLY_CONNECTED",
        "QUANTIZE",
        "DEQUANTIZE",
    ]
    x = trained_files.runs()
    given = trained_files.run(trained.simulated, x)
    np.testing.assert_allclose(given, trained_files.answers(x), atol=1e-6)


def test_the_plain_file_rounds_weights_alone() -> None:
    trained = taken_apart()
    assert ops(trained.plain) == ["FULLY_CONNECTED"]
    model = TfliteModel.from_bytes(trained.plain)
    assert model.output_names == ("y",) and model.tensors[model.outputs[0]].name == "y"
    x = trained_files.runs()
    given = trained_files.run(trained.plain, x)
    weights = trained.weights["y"]
    real = weights.stored * weights.scales[:, None]
    np.testing.assert_allclose(given, x @ real.T + trained_files.BIAS, atol=1e-5)


def test_ranges_and_weights_are_named_by_the_plain_file() -> None:
    trained = taken_apart()
    # 256 steps of 0.125 and 0.25, zero in the middle
    assert trained.ranges == {"x": (-16.0, 15.875), "y": (-32.0, 31.75)}
    assert list(trained.weights) == ["y"]
    assert trained.activation_bits == {8}
    assert trained.to_facts() == {
        "ranges": 2,
        "weights": 1,
        "activation_bits": [8],
        "weight_bits": [8],
    }


def test_int16_counts_from_zero_in_the_simulated_file() -> None:
    trained = taken_apart(activation_dtype="uint16")
    assert trained.activation_bits == {16}
    assert trained.ranges["x"] == (-32768 * 0.125, 32767 * 0.125)
    model = TfliteModel.from_bytes(trained.simulated)
    steps = [t for t in model.tensors if t.name in ("x_steps", "y_steps")]
    assert [(t.dtype, int(t.quantization.zero_points[0])) for t in steps] == [("int16", 0)] * 2


@pytest.mark.parametrize("bits", [4, 8])
def test_weights_of_few_bits(bits: int) -> None:
    trained = taken_apart(weight_scales=(0.2,), weight_dtype=f"uint{bits}")
    assert trained.weights["y"].bits == bits
    trained_files.run(trained.simulated, trained_files.runs(2))  # runs, although uint4 would not


def test_the_logits_of_a_rounded_output_are_rounded() -> None:
    simulated = TfliteModel.from_bytes(taken_apart().simulated)
    assert [simulated.tensors[i].name for i in logits(simulated)] == ["y_rounded"]


def test_a_file_without_rounding_is_none() -> None:
    assert read_fake_quantization(taken_apart().plain) is None
