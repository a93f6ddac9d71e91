"""What comes out of the converter after a live model was rewritten."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.models.conversions import assert_same_outputs, int8_ops, opened
from tfgreen.flatbuffer import TfliteModel
from tfgreen.models import rewrites


def recurrent(layers: Any) -> dict[str, Callable[[], Any]]:
    return {
        "LSTM": lambda: layers.LSTM(4),
        "GRU": lambda: layers.GRU(4),
        "SimpleRNN": lambda: layers.SimpleRNN(4),
        "Bidirectional": lambda: layers.Bidirectional(layers.GRU(4, return_sequences=True)),
    }


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")
@pytest.mark.parametrize(
    ("flavour", "name", "unrolled"),
    [
        ("keras3", "LSTM", 1),
        ("keras3", "GRU", 1),
        ("keras3", "SimpleRNN", 1),
        ("keras3", "Bidirectional", 2),
        ("keras2", "LSTM", 0),
        ("keras2", "GRU", 1),
        ("keras2", "SimpleRNN", 1),
    ],
)
def test_loops_are_unrolled_and_quantize(
    flavour: str, name: str, unrolled: int, flavours: dict[str, ModuleType], tmp_path: Path
) -> None:
    keras = flavours[flavour]
    body = [keras.layers.Input((4, 3)), recurrent(keras.layers)[name]()]
    model, convertible = opened(keras, body, tmp_path)
    done = [text for text in convertible.rewrites if text.endswith("unrolled over 4 steps")]
    assert len(done) == unrolled
    ops = int8_ops(convertible)
    assert {"WHILE", "DEQUANTIZE"}.isdisjoint(ops)
    assert_same_outputs(model, convertible)


def test_long_loops_stay_and_are_told(keras3: ModuleType, tmp_path: Path) -> None:
    steps = rewrites.MOST_STEPS + 1
    body = [keras3.layers.Input((steps, 3)), keras3.layers.GRU(2, name="slow")]
    model, convertible = opened(keras3, body, tmp_path)
    assert convertible.rewrites == ()
    (note,) = convertible.notes
    assert "GRU 'slow' has 129 steps and stays a loop" in note
    assert_same_outputs(model, convertible)


@pytest.mark.parametrize("flavour", ["keras3", "keras2"])
def test_mixed_precision_is_computed_in_float32(
    flavour: str, flavours: dict[str, ModuleType], tmp_path: Path
) -> None:
    keras = flavours[flavour]
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        body = [keras.layers.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.ReLU()]
        model, convertible = opened(keras, [*body, keras.layers.Flatten()], tmp_path)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert convertible.rewrites == ("computed in float32, where it was trained in mixed_float16",)
    file = TfliteModel.from_bytes(convertible.converter().convert())
    assert {tensor.dtype for tensor in file.tensors} <= {"float32", "int32"}
    (spec,) = convertible.inputs
    x = np.random.default_rng(1).normal(size=(3, *spec.shape)).astype(np.float32)  # type: ignore[arg-type]
    np.testing.assert_allclose(convertible.predict({spec.name: x})["y"], model(x), rtol=1e-2)
