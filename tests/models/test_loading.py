from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.models.conftest import dense, save, two_inputs
from tfgreen.errors import (
    InvalidModelError,
    UnsafeModelError,
    UnsupportedModelError,
    UsageError,
)
from tfgreen.models.identification import identify
from tfgreen.models.loading import flavour_of, load_model, save_for_worker, scan

INPUTS = [
    np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32),
    np.random.default_rng(1).normal(size=(2, 4)).astype(np.float32),
]


@pytest.mark.parametrize(
    ("kind", "flavour"),
    [("keras3", "keras3"), ("keras2", "keras2"), ("keras2-h5", "keras2")],
)
def test_each_file_loads_in_the_keras_that_wrote_it(
    model_file: Callable[[str], Path], kind: str, flavour: str
) -> None:
    model = load_model(model_file(kind))
    assert flavour_of(model) == flavour
    assert [tuple(y.shape) for y in model(INPUTS)] == [(2, 3), (2, 1)]


def test_a_keras2_depthwise_convolution_with_groups_loads(
    model_file: Callable[[str], Path],
) -> None:
    layers = load_model(model_file("keras2-h5")).layers
    assert [layer.groups for layer in layers if "depthwise" in layer.name] == [1]


def test_a_keras3_h5_with_groups_loads(keras3: ModuleType, tmp_path: Path) -> None:
    import h5py

    layers = keras3.layers
    model = keras3.Sequential([layers.Input((4, 4, 3)), layers.DepthwiseConv2D(3)])
    path = save(model, tmp_path / "m.h5")
    with h5py.File(path, "r+") as file:
        config = file.attrs["model_config"]
        file.attrs["model_config"] = config.replace(
            '"depth_multiplier"', '"groups": 1, "depth_multiplier"'
        )
    x = np.ones((1, 4, 4, 3), np.float32)
    np.testing.assert_array_equal(load_model(path)(x), model(x))


def test_the_suffix_does_not_matter(model_file: Callable[[str], Path], tmp_path: Path) -> None:
    path = Path(shutil.copy(model_file("keras3"), tmp_path / "model (1).download"))
    assert flavour_of(load_model(path)) == "keras3"


def test_where_links_need_a_privilege_the_suffix_does_not_matter_either(
    model_file: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(1314, "A required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    path = Path(shutil.copy(model_file("keras3"), tmp_path / "model.download"))
    assert flavour_of(load_model(path)) == "keras3"


def test_damaged_weights_are_one_sentence(
    model_file: Callable[[str], Path], tmp_path: Path
) -> None:
    import zipfile

    path = tmp_path / "m.keras"
    with zipfile.ZipFile(model_file("keras3")) as old, zipfile.ZipFile(path, "w") as new:
        for name in ("metadata.json", "config.json"):
            new.writestr(name, old.read(name))
        new.writestr("model.weights.h5", b"no weights")
    with pytest.raises(InvalidModelError, match=r"written by Keras 3.* cannot be loaded") as error:
        load_model(path)
    assert "\n" not in str(error.value)


def test_a_saved_model_is_no_keras_model(saved_model: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="is a SavedModel"):
        load_model(saved_model)


def hostile_model(keras: ModuleType, trace: Path) -> Any:
    """A model whose Lambda creates the file `trace` whenever it runs."""
    target = str(trace)
    layers = keras.layers
    writer = layers.Lambda(lambda x: (open(target, "w").close(), x)[1])  # noqa: PTH123
    return keras.Sequential([layers.Input((3,)), writer, layers.Dense(2)])


HOSTILE = {"keras3": "m.keras", "keras3-h5": "m.h5", "keras2": "m.keras", "keras2-h5": "m.h5"}


@pytest.mark.parametrize("kind", [*HOSTILE, "keras2 SavedModel"])
def test_a_hostile_lambda_is_found_and_nothing_runs(
    kind: str, flavours: dict[str, ModuleType], tmp_path: Path
) -> None:
    from tfgreen.models.graph import open_for_conversion

    trace = tmp_path / "executed"
    model = hostile_model(flavours[kind[:6]], trace)
    path = save(model, tmp_path / HOSTILE.get(kind, "saved"))
    trace.unlink(missing_ok=True)
    source = identify(path)
    for refuse in (lambda: scan(source), lambda: open_for_conversion(path)):
        with pytest.raises(UnsafeModelError, match="Lambda in layer"):
            refuse()
    if kind in HOSTILE:
        with pytest.raises(UnsafeModelError, match="Lambda in layer"):
            load_model(path)
    assert not trace.exists()


def test_the_hostile_lambda_does_run_when_it_is_allowed(keras2: ModuleType, tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    path = save(hostile_model(keras2, trace), tmp_path / "m.h5")
    trace.unlink()
    load_model(path, allow_unsafe=True)
    assert trace.exists()


@pytest.mark.parametrize("kind", ["keras3", "keras2", "keras2-h5"])
def test_a_lambda_loads_when_it_is_allowed(
    kind: str, flavours: dict[str, ModuleType], tmp_path: Path
) -> None:
    keras = flavours[kind[:6]]
    layers = keras.layers
    model = keras.Sequential([layers.Input((3,)), layers.Lambda(lambda x: x * 2)])
    path = save(model, tmp_path / HOSTILE[kind])
    loaded = load_model(path, allow_unsafe=True)
    np.testing.assert_array_equal(loaded(np.ones((1, 3), np.float32)), np.full((1, 3), 2.0))


CUSTOM = """
import {package}

class Tripled({package}.layers.Layer):
    def call(self, x):
        return x * 3
"""


@pytest.mark.parametrize("kind", ["keras3", "keras2", "keras2-h5"])
def test_classes_of_ones_own_load_by_module_or_mapping(
    kind: str,
    flavours: dict[str, ModuleType],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keras = flavours[kind[:6]]
    module = f"tripled_of_{keras.__name__}_{kind[7:]}"
    (tmp_path / f"{module}.py").write_text(CUSTOM.format(package=keras.__name__))
    monkeypatch.syspath_prepend(str(tmp_path))
    layer = importlib.import_module(module).Tripled
    model = keras.Sequential([keras.layers.Input((3,)), layer()])
    path = save(model, tmp_path / HOSTILE[kind])
    with pytest.raises(UnsafeModelError, match="class 'Tripled' in layer 'tripled"):
        load_model(path)
    scan(identify(path), custom_objects=module)
    for objects in (module, f"{module}:Tripled", {"Tripled": layer}):
        loaded = load_model(path, objects)
        np.testing.assert_array_equal(loaded(np.ones((1, 3), np.float32)), np.full((1, 3), 3.0))


def test_module_and_function_give_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "makes_models.py").write_text(
        "import keras\n"
        "def build(): return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])\n"
        "def number(): return 3\n"
        "def broken(): raise KeyError('no')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert flavour_of(load_model("makes_models:build")) == "keras3"
    with pytest.raises(UnsupportedModelError, match=r"Received a builtins\.int"):
        load_model("makes_models:number")
    with pytest.raises(UsageError, match="makes_models:broken failed: KeyError"):
        load_model("makes_models:broken")


@pytest.mark.parametrize(("flavour", "name"), [("keras3", "model.keras"), ("keras2", "model.h5")])
def test_a_model_of_known_layers_is_handed_over_as_a_keras_file(
    flavour: str, name: str, flavours: dict[str, ModuleType], tmp_path: Path
) -> None:
    model = two_inputs(flavours[flavour])
    path = save_for_worker(model, tmp_path)
    assert path == tmp_path / name
    for received, expected in zip(load_model(path)(INPUTS), model(INPUTS), strict=True):
        np.testing.assert_allclose(received, expected, atol=1e-6)


@pytest.mark.parametrize("flavour", ["keras3", "keras2"])
def test_models_with_code_of_their_own_are_handed_over_as_a_graph(
    flavour: str, flavours: dict[str, ModuleType], tmp_path: Path
) -> None:
    keras = flavours[flavour]

    class Mine(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = keras.layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.inner(x) * 2

    model = Mine()
    with pytest.raises(UnsupportedModelError, match="never built"):
        save_for_worker(model, tmp_path)
    model(np.ones((5, 3), np.float32))
    source = identify(save_for_worker(model, tmp_path))
    assert (source.kind, source.foreign) == ("saved-model", ())
    assert source.inputs is not None
    assert [(spec.name, spec.shape) for spec in source.inputs] == [("x", (3,))]


def test_another_backend_cannot_hand_over_code_of_its_own(
    keras3: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = keras3.layers
    model = keras3.Sequential([layers.Input((3,)), layers.Lambda(lambda x: x * 2)])
    monkeypatch.setattr(keras3.config, "backend", lambda: "jax")
    with pytest.raises(UnsupportedModelError, match="runs on the jax backend.*KERAS_BACKEND"):
        save_for_worker(model, tmp_path)


def test_another_backends_model_of_known_layers_is_handed_over(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    code = """
import os, sys
os.environ["KERAS_BACKEND"] = "jax"
import keras
from pathlib import Path
from tfgreen.models.loading import save_for_worker
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
assert save_for_worker(model, Path(sys.argv[1])).name == "model.keras"
assert "tensorflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=120)


@pytest.mark.slow
def test_another_backends_model_is_exported_from_its_own_process(tmp_path: Path) -> None:
    """The caller runs on JAX, the converter's process on TensorFlow."""
    pytest.importorskip("jax", reason="Keras on JAX is exported where JAX is installed")
    code = """
import os, sys
os.environ["KERAS_BACKEND"] = "jax"
import keras
import numpy as np
import tfgreen as tg
inputs = keras.Input((16, 16, 3), name="image")
x = keras.layers.Conv2D(8, 3, activation="relu")(inputs)
x = keras.layers.GlobalAveragePooling2D()(x)
model = keras.Model(inputs, keras.layers.Dense(4, name="kind")(x))
samples = np.random.default_rng(0).uniform(0, 1, (120, 16, 16, 3)).astype("float32")
bundle = tg.export(model, samples)
assert keras.config.backend() == "jax" and "tensorflow" not in sys.modules
assert bundle.certificate.passed and bundle.facts["model"]["kind"] == "keras3"
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, timeout=300)


@pytest.mark.parametrize("thing", [42, np.ones(3), None])
def test_what_is_no_model_is_refused(thing: object) -> None:
    with pytest.raises(UnsupportedModelError, match="expected a model of Keras 3 or tf_keras"):
        flavour_of(thing)


def test_handing_over_does_not_change_the_model(keras3: ModuleType, tmp_path: Path) -> None:
    model = dense(keras3)
    model.compile("adam", "mse")
    before = model.get_config(), [w.copy() for w in model.get_weights()], model.compiled
    save_for_worker(model, tmp_path)
    assert (model.get_config(), model.compiled) == (before[0], before[2])
    for old, new in zip(before[1], model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
