"""Whole networks at length: every tensor against the reference kernels, outputs against TFLM.

The networks are those of the benchmarks, trained, and deep ones of keras.applications at 96 pixels
with random weights. The kernels run in a child, a few samples at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.coverage.conditioning import conditioned
from benchmarks.coverage.zoo import ROWS, Row, application
from benchmarks.models import NETWORKS, cached_model
from tests.reference.whole_models import hard_inputs
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import load_profile
from tfgreen.reference import Interpreter
from tfgreen.runtimes import Task, availability, run_tasks
from tfgreen.tflite import convert, convert_float
from tfgreen.tflite.quantizers import AiEdgeQuantizer
from tfgreen.tflite.ranges import minmax_ranges
from tfgreen.tflite.statistics import collect_statistics

CALIBRATION, SAMPLES_AT_A_TIME = 32, 8
SIZE_PIXELS = 96
APPLICATIONS = {
    "mobilenetv3small": "MobileNetV3Small",
    "efficientnetv2b0": "EfficientNetV2B0",
    "densenet121": "DenseNet121",
    "nasnetmobile": "NASNetMobile",
    "xception": "Xception",
}
BY_KERAS_2 = ("lstm", "attention")


def attention(keras: Any) -> Any:
    """A transformer block: attention and a feed-forward network, each added and normalized."""
    layers = keras.layers
    inputs = layers.Input((12, 32), name="vectors")
    attended = layers.MultiHeadAttention(4, 8)(inputs, inputs)
    x = layers.LayerNormalization()(layers.Add()([inputs, attended]))
    y = layers.Dense(32)(layers.Dense(64, activation="gelu")(x))
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(layers.Add()([x, y])))
    return keras.Model(inputs, layers.Dense(10, activation="softmax", name="label")(x))


ROWS_HERE = {**ROWS, "attention": Row("Transformer block", attention, "12 vectors of 32")}


def int8_file(name: str, folder: Path) -> bytes:
    """The network as an int8 file."""
    if name in NETWORKS:
        model = cached_model(name)
        with np.load(model.calibration) as archive:
            return quantized(model.path, dict(archive))
    row = ROWS_HERE[name]
    if name in APPLICATIONS:
        row = replace(row, build=application(APPLICATIONS[name], SIZE_PIXELS))
    task, path = conditioned(row), folder / f"{name}.keras"
    task.model.save(path)
    if name not in BY_KERAS_2:
        return quantized(path, task.calibration)
    return convert(path, load_profile("coral-edgetpu-int8"), task.calibration).content


def quantized(path: Path, calibration: Mapping[str, np.ndarray]) -> bytes:
    floats = convert_float(path).content
    names = TfliteModel.from_bytes(floats).input_names
    runs = [calibration[name][:CALIBRATION, np.newaxis].astype(np.float32) for name in names]
    ranges = minmax_ranges(collect_statistics(floats, runs))
    return AiEdgeQuantizer(floats, "int8").quantize(ranges)


def portions(inputs: tuple[np.ndarray, ...]) -> Iterator[tuple[np.ndarray, ...]]:
    for start in range(0, len(inputs[0]), SAMPLES_AT_A_TIME):
        yield tuple(array[start : start + SAMPLES_AT_A_TIME] for array in inputs)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NETWORKS, *APPLICATIONS, *BY_KERAS_2])
def test_no_element_differs(name: str, tmp_path: Path) -> None:
    content = int8_file(name, tmp_path)
    inputs = hard_inputs(content)
    interpreter, micro = Interpreter(content), Interpreter(content, "micro")
    micro_runs = availability("micro").available
    compared = by_micro = 0
    for part in portions(inputs):
        (outcome,) = run_tasks("reference", [Task(name, content, part, capture="all")])
        assert outcome.ok, outcome.message
        tensors = interpreter.run_tensors(part)
        assert set(tensors) == set(outcome.tensors)
        for index, mine in tensors.items():
            np.testing.assert_array_equal(mine, outcome.tensors[index], err_msg=f"tensor {index}")
            compared += mine.size
        if micro_runs:
            (outcome,) = run_tasks("micro", [Task(name, content, part)])
            micro_runs = outcome.ok
        if micro_runs:
            for mine, theirs in zip(micro.run(part), outcome.outputs, strict=True):
                np.testing.assert_array_equal(mine, theirs)
                by_micro += mine.size
    ops = len(interpreter.model.ops)
    print(f"{name}: {ops} ops, {compared:,} elements, {by_micro:,} outputs of TFLM, all equal")
