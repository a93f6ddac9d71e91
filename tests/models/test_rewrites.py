"""What comes out of the converter, with and without the rewrites."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.models.conftest import save
from tfgreen.flatbuffer import TfliteModel
from tfgreen.models import rewrites
from tfgreen.models.graph import Convertible, open_for_conversion
from tfgreen.models.serving import serve_model


def int8_ops(convertible: Convertible) -> list[str]:
    import tensorflow as tf

    random = np.random.default_rng(0)
    converter = convertible.converter()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter.representative_dataset = lambda: (
        {s.name: random.normal(size=(1, *s.shape)).astype(np.float32) for s in convertible.inputs}  # type: ignore[arg-type]
        for _ in range(8)
    )
    return [op.name for op in TfliteModel.from_bytes(converter.convert()).ops]


def normalizations(layers: Any) -> dict[str, Any]:
    return {
        "LayerNormalization": lambda: [layers.Input((6, 8)), layers.LayerNormalization()],
        "over several axes": lambda: [
            layers.Input((4, 4, 8)),
            layers.LayerNormalization(axis=(1, 2, 3)),
        ],
        "GroupNormalization": lambda: [layers.Input((4, 4, 8)), layers.GroupNormalization(4)],
        "RMSNormalization": lambda: [layers.Input((6, 8)), layers.RMSNormalization()],
        "GELU": lambda: [layers.Input((8,)), layers.Activation("gelu")],
        "PReLU": lambda: [layers.Input((8,)), layers.PReLU("ones")],
    }


def opened(
    keras: ModuleType, body: list[Any], path: Path, seed: int = 0
) -> tuple[Any, Convertible]:
    """A model of these layers between two dense ones, with weights that are not trivial."""
    first, *others = body
    dense = keras.layers.Dense
    model = keras.Sequential([first, dense(8), *others, dense(3, name="y")])
    random = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(variable + random.uniform(0.1, 0.5, variable.shape).astype(np.float32))
    file = path / ("model.keras" if keras.__name__ == "keras" else "model.h5")
    return model, open_for_conversion(save(model, file))


def assert_same_outputs(model: Any, convertible: Convertible) -> None:
    (spec,) = convertible.inputs
    x = np.random.default_rng(1).normal(size=(3, *spec.shape)).astype(np.float32)  # type: ignore[arg-type]
    expected = np.asarray(model(x))
    received = convertible.predict({spec.name: x})["y"]
    np.testing.assert_allclose(received, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")
@pytest.mark.parametrize("flavour", ["keras3", "keras2"])
@pytest.mark.parametrize(
    ("name", "rewritten"),
    [
        ("LayerNormalization", {"keras3": True, "keras2": False}),
        ("over several axes", {"keras3": True, "keras2": False}),
        ("GroupNormalization", {"keras3": True, "keras2": True}),
        ("RMSNormalization", {"keras3": True}),
        ("GELU", {"keras3": False, "keras2": False}),
        ("PReLU", {"keras3": False, "keras2": False}),
    ],
)
def test_no_float_island_is_left(
    flavour: str,
    name: str,
    rewritten: dict[str, bool],
    flavours: dict[str, ModuleType],
    tmp_path: Path,
) -> None:
    if flavour not in rewritten:
        pytest.skip("a layer of Keras 3 only")
    keras = flavours[flavour]
    model, convertible = opened(keras, normalizations(keras.layers)[name](), tmp_path)
    assert bool(convertible.rewrites) == rewritten[flavour]
    ops = int8_ops(convertible)
    assert {"DEQUANTIZE", "QUANTIZE", "NEG", "SQUARE"}.isdisjoint(ops)
    if name in ("GELU", "PReLU"):
        assert name.upper() in ops
    assert_same_outputs(model, convertible)


def test_a_normalization_leaves_islands_when_it_is_not_rewritten(
    keras3: ModuleType, tmp_path: Path
) -> None:
    """The reason for the rewrite; when it fails, the converter has learned to do it."""
    import tensorflow as tf

    body = normalizations(keras3.layers)["GroupNormalization"]()
    serve_model(keras3.Sequential(body), 1).save(tmp_path / "saved")
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"))
    islands = rewrites.islands_of(converter.convert())
    assert len(islands) == 2
    assert rewrites.may_leave_islands(tmp_path / "saved")
    done = rewrites.rewrite_graph(tmp_path / "saved", islands)
    assert sorted(text.split()[1] for text in done) == ["neg", "squareddifference"]
    assert not rewrites.may_leave_islands(tmp_path / "saved")


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
        ("keras2", "SimpleRNN", 1),
    ],
)
def test_loops_are_unrolled_and_quantize(
    flavour: str, name: str, unrolled: int, flavours: dict[str, ModuleType], tmp_path: Path
) -> None:
    keras = flavours[flavour]
    body = [keras.layers.Input((4, 3)), recurrent(keras.layers)[name]()]
    model, convertible = opened(keras, body, tmp_path)
    assert len(convertible.rewrites) == unrolled
    assert all(text.endswith("unrolled over 4 steps") for text in convertible.rewrites)
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
