"""The two engines, fed with ranges whose scales are known by arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from tests import tiny_models
from tests.conftest import TrainedModel
from tests.float_files import float_file
from tests.tflite import small_networks
from tests.tflite.calibrator import calibrator_ranges
from tests.tiny_models import OpSpec, TensorSpec
from tfgreen.flatbuffer import Tensor, TfliteModel
from tfgreen.tflite.audit import audit_ranges
from tfgreen.tflite.quantizers import (
    AiEdgeQuantizer,
    Quantizer,
    TensorflowInt16Quantizer,
    TensorflowQuantizer,
)
from tfgreen.tflite.ranges import Ranges, minmax_ranges
from tfgreen.tflite.statistics import collect_statistics

FLOAT = small_networks.two_convolutions_added()
RUNS = small_networks.runs()
RANGES: Ranges = {
    "x": (-4.0, 3.0),
    "small": (-1.0, 2.0),
    "large": (0.0, 20.0),
    "sum": (-12.0, 0.0),
}
ENGINES: dict[str, Quantizer] = {
    "tensorflow": TensorflowQuantizer(FLOAT, [RUNS[0]]),
    "ai-edge-quantizer": AiEdgeQuantizer(FLOAT, "int8"),
}


def tensor(content: bytes, name: str) -> Tensor:
    model = TfliteModel.from_bytes(content)
    return model.tensors[model.tensor_index(name)]


@pytest.mark.parametrize("engine", ENGINES)
def test_scales_follow_from_the_ranges(engine: str) -> None:
    """scale = (high - low) / 255; the zero point stands for 0, low for -128."""
    content = ENGINES[engine].quantize(RANGES)
    for name, (low, high) in RANGES.items():
        found = tensor(content, name)
        scale = (high - low) / 255
        assert found.dtype == "int8"
        assert found.quantization.scales.tolist() == pytest.approx([scale])
        assert found.quantization.zero_points.tolist() == [round(-128 - low / scale)]


@pytest.mark.parametrize("engine", ENGINES)
def test_weights_are_per_channel_and_symmetric(engine: str) -> None:
    model = TfliteModel.from_bytes(ENGINES[engine].quantize(RANGES))
    source = TfliteModel.from_bytes(FLOAT)
    real = source.constant(source.tensor_index("small/weights"))
    (op,) = (op for op in model.ops if model.tensors[op.outputs[0]].name == "small")
    weights = model.tensors[op.inputs[1]]
    expected = np.abs(real).max(axis=(1, 2, 3)) / 127
    np.testing.assert_allclose(weights.quantization.scales, expected, rtol=1e-5)
    assert not weights.quantization.zero_points.any()
    nearest = np.rint(real / expected[:, None, None, None])
    assert np.abs(model.constant(weights.index) - nearest).max() <= 1


def test_both_engines_make_the_same_file() -> None:
    one, other = (TfliteModel.from_bytes(engine.quantize(RANGES)) for engine in ENGINES.values())
    for name in RANGES:
        assert one.tensors[one.tensor_index(name)].quantization.scales == pytest.approx(
            other.tensors[other.tensor_index(name)].quantization.scales
        )
    assert (
        [op.name for op in one.ops]
        == [op.name for op in other.ops]
        == [
            "CONV_2D",
            "CONV_2D",
            "ADD",
        ]
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_ranges_give_the_same_bytes(engine: str) -> None:
    again = TensorflowQuantizer(FLOAT, [RUNS[0]])
    if engine != "tensorflow":
        again = AiEdgeQuantizer(FLOAT, "int8")
    assert ENGINES[engine].quantize(RANGES) == again.quantize(RANGES)


def test_names_that_the_file_has_not_are_no_matter() -> None:
    engine = ENGINES["tensorflow"]
    assert engine.quantize({**RANGES, "unknown": (0.0, 1.0)}) == engine.quantize(RANGES)


def test_16_bits_are_symmetric() -> None:
    """scale = max(|low|, |high|) / 32767, zero point 0."""
    content = AiEdgeQuantizer(FLOAT, "int16x8").quantize(RANGES)
    for name, (low, high) in RANGES.items():
        found = tensor(content, name)
        assert found.dtype == "int16" and found.quantization.zero_points.tolist() == [0]
        assert found.quantization.scales == pytest.approx([max(-low, high) / 32767], rel=1e-4)


def test_16_bits_of_tensorflow_calibrate_for_themselves() -> None:
    engine = TensorflowInt16Quantizer(FLOAT, [[run] for run in RUNS])
    found = tensor(engine.quantize({}), "x")
    assert found.dtype == "int16"
    assert found.quantization.scales == pytest.approx([np.abs(RUNS).max() / 32767], rel=1e-4)


def dtypes_of_weights(content: bytes) -> dict[str, str]:
    """Op name to the dtype in which its weights are stored, through a DEQUANTIZE if need be."""
    model = TfliteModel.from_bytes(content)
    found = {}
    for op in model.ops:
        if op.name in ("CONV_2D", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D"):
            producer = model.producer(op.inputs[1])
            index = producer.inputs[0] if producer else op.inputs[1]
            found[op.name] = model.tensors[index].dtype
    return found


def test_float16_stores_half_and_computes_in_float() -> None:
    model = TfliteModel.from_bytes(content := AiEdgeQuantizer(FLOAT, "float16").quantize({}))
    assert dtypes_of_weights(content) == {"CONV_2D": "float16"}
    assert {model.tensors[op.outputs[0]].dtype for op in model.ops} == {"float32"}
    assert len(content) < len(FLOAT)


def test_dynamic_int8_needs_no_ranges() -> None:
    content = AiEdgeQuantizer(small_networks.dense(), "dynamic-int8").quantize({})
    assert dtypes_of_weights(content) == {"FULLY_CONNECTED": "int8"}
    assert tensor(content, "x").dtype == tensor(content, "y").dtype == "float32"


def test_where_4_bits_are_impossible_8_are_taken() -> None:
    """DEPTHWISE_CONV_2D has no 4-bit kernel: the engine skips it in silence and leaves float."""
    rng = np.random.default_rng(0)
    depthwise = rng.normal(size=(1, 3, 3, 4)).astype(np.float32)
    weights = rng.normal(size=(32, 144)).astype(np.float32)
    tensors = [
        TensorSpec("x", (1, 6, 6, 4), "float32"),
        TensorSpec("depthwise", depthwise.shape, "float32", data=depthwise),
        TensorSpec("depthwise/bias", (4,), "float32", data=np.zeros(4, np.float32)),
        TensorSpec("maps", (1, 6, 6, 4), "float32"),
        TensorSpec("shape", (2,), "int32", data=np.array([1, 144], np.int32)),
        TensorSpec("flat", (1, 144), "float32"),
        TensorSpec("weights", weights.shape, "float32", data=weights),
        TensorSpec("bias", (32,), "float32", data=np.zeros(32, np.float32)),
        TensorSpec("y", (1, 32), "float32"),
    ]
    window = {"strideW": 1, "strideH": 1, "padding": 0, "depthMultiplier": 1}
    ops = [
        OpSpec("DEPTHWISE_CONV_2D", ["x", "depthwise", "depthwise/bias"], ["maps"], window),
        OpSpec("RESHAPE", ["maps", "shape"], ["flat"]),
        OpSpec("FULLY_CONNECTED", ["flat", "weights", "bias"], ["y"]),
    ]
    content = tiny_models.build(tensors, ops, ["x"], ["y"])
    quantized = AiEdgeQuantizer(content, "weights-int4").quantize({})
    assert dtypes_of_weights(quantized) == {
        "DEPTHWISE_CONV_2D": "int8",
        "FULLY_CONNECTED": "int4",
    }


def test_large_constants_stay_inside_the_flatbuffer() -> None:
    """TensorFlow Lite Micro reads constants outside as nothing, and says nothing."""
    large = small_networks.dense(512, 512)
    content = AiEdgeQuantizer(large, "int8").quantize({"x": (-1.0, 1.0), "y": (-9.0, 9.0)})
    model = TfliteModel.from_bytes(content)
    assert not any(tensor.is_external for tensor in model.tensors)
    assert len(content) > 512 * 512


def test_the_audit_finds_the_calibrator_s_mistake_in_a_residual_network(
    residual_model: TrainedModel, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """tensorflow/tensorflow#127842: a convolution before an ADD gets the ADD's maximum."""
    residual = float_file(residual_model, tmp_path_factory)
    runs = residual.calibration["image"][:50, None]
    statistics = collect_statistics(residual.content, [runs])
    true, seen = minmax_ranges(statistics), calibrator_ranges(residual.content, [runs])
    wide = {
        name
        for name, (low, high) in true.items()
        if name in seen and seen[name][1] - max(seen[name][0], low) > 1.1 * (high - low)
    }
    into_sums = {name for summands, _ in statistics.sums for name in summands}
    assert len(wide) == 3 and wide <= into_sums

    engine = TensorflowQuantizer(residual.content, [runs[0]])
    found = {finding.tensor for finding in audit_ranges(engine.quantize(seen), statistics)}
    assert found and found <= wide
    assert not audit_ranges(engine.quantize(true), statistics)
