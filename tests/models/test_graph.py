from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.models.conftest import dense, save
from tests.tiny_models import int8_classifier
from tfgreen.errors import ConversionError, UnsafeModelError, UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.models.graph import Convertible, open_for_conversion
from tfgreen.models.identification import identify
from tfgreen.models.keras2 import model_optimization
from tfgreen.models.loading import save_for_worker


def inputs_for(convertible: Convertible, count: int = 3) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        spec.name: random.normal(size=(count, *spec.shape)).astype(spec.dtype)  # type: ignore[arg-type]
        for spec in convertible.inputs
    }


def assert_converts_to_itself(convertible: Convertible, path: Path) -> None:
    """The float file has the names, the batch and the outputs of the model."""
    path.write_bytes(convertible.converter().convert())
    file = open_for_conversion(path)
    by_name = {spec.name: spec for spec in file.inputs}
    assert by_name == {spec.name: spec for spec in convertible.inputs}
    assert sorted(file.outputs) == sorted(convertible.outputs)
    inputs = inputs_for(convertible)
    expected, received = convertible.predict(inputs), file.predict(inputs)
    for name in convertible.outputs:
        assert received[name].shape == expected[name].shape
        np.testing.assert_allclose(received[name], expected[name], atol=1e-5)


@pytest.mark.parametrize("kind", ["keras3", "keras2", "keras2-h5"])
def test_keras_files_convert_with_their_names(
    kind: str, model_file: Callable[[str], Path], tmp_path: Path
) -> None:
    convertible = open_for_conversion(model_file(kind))
    source = identify(model_file(kind))
    assert (convertible.inputs, convertible.outputs) == (source.inputs, source.outputs)
    assert (convertible.rewrites, convertible.notes) == ((), ())
    assert_converts_to_itself(convertible, tmp_path / "float.tflite")


def test_a_saved_model_converts_with_its_names(saved_model: Path, tmp_path: Path) -> None:
    convertible = open_for_conversion(identify(saved_model))
    assert convertible.outputs == ("output_0", "output_1")
    assert_converts_to_itself(convertible, tmp_path / "float.tflite")


def test_the_batch_of_the_profile_is_in_the_file(
    model_file: Callable[[str], Path], tmp_path: Path
) -> None:
    content = open_for_conversion(model_file("keras3"), batch=4).converter().convert()
    model = TfliteModel.from_bytes(content)
    assert [model.tensors[index].shape[0] for index in (*model.inputs, *model.outputs)] == [4] * 4


def test_every_converter_is_a_fresh_one_with_the_same_result(
    model_file: Callable[[str], Path],
) -> None:
    convertible = open_for_conversion(model_file("keras3"))
    first, second = convertible.converter(), convertible.converter()
    assert first is not second
    assert first.convert() == second.convert()


def test_a_function_of_the_users_gives_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "makes_one_model.py").write_text(
        "import keras\n"
        "def build():\n"
        "    x = keras.Input((3,), name='features')\n"
        "    return keras.Model(x, keras.layers.Dense(2, name='scores')(x))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    convertible = open_for_conversion("makes_one_model:build")
    assert [spec.name for spec in convertible.inputs] == ["features"]
    assert convertible.outputs == ("scores",)


@pytest.mark.parametrize("flavour", ["keras3", "keras2"])
def test_a_model_object_with_a_lambda_converts_from_its_graph(
    flavour: str, flavours: dict[str, ModuleType], tmp_path: Path
) -> None:
    keras = flavours[flavour]
    layers = keras.layers
    model = keras.Sequential([layers.Input((3,), name="x"), layers.Lambda(lambda x: x * 2)])
    convertible = open_for_conversion(save_for_worker(model, tmp_path))
    np.testing.assert_array_equal(
        convertible.predict({"x": np.ones((2, 3), np.float32)})[convertible.outputs[0]],
        np.full((2, 3), 2.0),
    )


def test_quantization_aware_models_carry_their_ranges(
    keras2: ModuleType, model_file: Callable[[str], Path], tmp_path: Path
) -> None:
    import tensorflow as tf

    trained = model_optimization().quantization.keras.quantize_model(dense(keras2))
    convertible = open_for_conversion(save(trained, tmp_path / "qat.h5"))
    assert convertible.is_quantization_aware
    converter = convertible.converter()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    ops = [op.name for op in TfliteModel.from_bytes(converter.convert()).ops]
    assert ops == ["QUANTIZE", "FULLY_CONNECTED", "DEQUANTIZE"]
    assert not open_for_conversion(model_file("keras3")).is_quantization_aware


def test_pruning_wrappers_come_off(keras2: ModuleType, tmp_path: Path) -> None:
    model = model_optimization().sparsity.keras.prune_low_magnitude(dense(keras2))
    convertible = open_for_conversion(save(model, tmp_path / "pruned.h5"))
    assert convertible.rewrites == ("pruning wrappers taken off",)
    assert_converts_to_itself(convertible, tmp_path / "float.tflite")


def test_a_float_file_passes_through(saved_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "float.tflite"
    content = open_for_conversion(saved_model).converter().convert()
    path.write_bytes(content)
    file = open_for_conversion(path)
    converter = file.converter()
    converter.target_spec.supported_ops = []
    assert converter.convert() == content
    with pytest.raises(UnsupportedModelError, match="wants batch 2"):
        open_for_conversion(path, batch=2)


def test_a_quantized_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "int8.tflite"
    path.write_bytes(int8_classifier())
    with pytest.raises(UnsupportedModelError, match="is quantized already"):
        open_for_conversion(path)


def writes_a_file(trace: Path, folder: Path) -> Path:
    import tensorflow as tf

    module = tf.Module()

    def body(x: Any) -> Any:
        tf.io.write_file(str(trace), "executed")
        return x + 1

    function = tf.function(body, input_signature=[tf.TensorSpec((1, 2), name="x")])
    module.function = function
    tf.saved_model.save(module, str(folder), signatures={"serving_default": function})
    return folder


def test_a_graph_that_writes_a_file_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    path = writes_a_file(trace, tmp_path / "saved")
    with pytest.raises(UnsafeModelError, match="WriteFile"):
        open_for_conversion(path)
    assert not trace.exists()


def test_classes_beside_a_graph_are_refused_but_never_needed(
    keras2: ModuleType, tmp_path: Path
) -> None:
    class Tripled(keras2.layers.Layer):
        def call(self, x: Any) -> Any:
            return x * 3

    model = keras2.Sequential([keras2.layers.Input((2,), name="x"), Tripled(name="y")])
    path = save(model, tmp_path / "saved")
    with pytest.raises(UnsafeModelError, match="class 'Tripled' in layer 'y'"):
        open_for_conversion(path)
    convertible = open_for_conversion(path, allow_unsafe=True)
    np.testing.assert_array_equal(
        convertible.predict({"x": np.ones((1, 2), np.float32)})["y"], [[3.0, 3.0]]
    )


def test_the_folder_of_the_graph_goes_with_it(
    model_file: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = model_file("keras3")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    convertible = open_for_conversion(path)
    assert len([*tmp_path.glob("tfgreen-*")]) == 1
    del convertible
    gc.collect()
    assert not [*tmp_path.glob("tfgreen-*")]


def test_another_backend_is_refused(
    keras3: ModuleType, model_file: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras3.config, "backend", lambda: "jax")
    with pytest.raises(ConversionError, match="KERAS_BACKEND=tensorflow"):
        open_for_conversion(model_file("keras3"))
