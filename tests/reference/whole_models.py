"""Quantized files of the trained models, and inputs that try every corner."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import TrainedModel
from tests.float_files import float_file
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import Scheme
from tfgreen.tflite.quantizers import AiEdgeQuantizer
from tfgreen.tflite.ranges import minmax_ranges
from tfgreen.tflite.statistics import collect_statistics

SAMPLES = 64


def quantized_file(
    model: TrainedModel, factory: pytest.TempPathFactory, scheme: Scheme = "int8"
) -> bytes:
    """The model as integers throughout, its ranges from the calibration data."""
    floats = float_file(model, factory)
    names = TfliteModel.from_bytes(floats.content).input_names
    runs = [floats.calibration[name][:32, np.newaxis].astype(np.float32) for name in names]
    ranges = minmax_ranges(collect_statistics(floats.content, runs))
    return AiEdgeQuantizer(floats.content, scheme).quantize(ranges)


def hard_inputs(content: bytes, samples: int = SAMPLES) -> tuple[np.ndarray, ...]:
    """A quarter each: uniform, bell-shaped, only the extremes, and constant or boundary values."""
    model, rng = TfliteModel.from_bytes(content), np.random.default_rng(5)
    arrays = []
    for index in model.inputs:
        tensor, quarter = model.tensors[index], samples // 4
        if tensor.dtype == "float32":
            arrays.append(rng.normal(0, 2, (samples, *tensor.shape)).astype(np.float32))
            continue
        limits, shape = np.iinfo(tensor.dtype), (quarter, *tensor.shape)
        middle, spread = (limits.max + limits.min) / 2, (limits.max - limits.min) / 6
        bell = np.clip(np.rint(rng.normal(middle, spread, shape)), limits.min, limits.max)
        levels = rng.integers(limits.min, limits.max, quarter, endpoint=True)
        levels[:3] = limits.min, limits.max, 0
        parts = [
            rng.integers(limits.min, limits.max, shape, endpoint=True),
            bell,
            rng.choice([limits.min, limits.max], shape),
            np.broadcast_to(levels.reshape(-1, *[1] * len(tensor.shape)), shape),
        ]
        arrays.append(np.concatenate(parts).astype(tensor.dtype))
    return tuple(arrays)
