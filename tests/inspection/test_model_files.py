"""Keras files of every kind, read without TensorFlow, against what Keras says of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from tfgreen.errors import InvalidModelError, MissingPathError, UnsupportedModelError
from tfgreen.inspection import ModelInspection, inspect
from tfgreen.inspection.checkpoint import read_checkpoint
from tfgreen.inspection.keras_file import inspect_keras_file

ROOT = Path(__file__).parents[2]
LAYER_FILES = ["keras3.keras", "keras3.h5", "keras2.keras", "keras2.h5"]
SAVED_MODELS = ["keras3-saved-model", "keras2-saved-model"]
# (3*3*3*4 + 4) + 4*4 + (3*3*4*5 + 5) + (80*6 + 6) + (6*3 + 3)
PARAMETERS = 112 + 16 + 185 + 486 + 21
# Zeros among 3*3*3*4 + 3*3*4*5 + 80*6 + 6*3 kernel values: 40 rows of 6
SPARSITY = 40 * 6 / (108 + 180 + 480 + 18)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved-models")
    command = [sys.executable, "-m", "tests.inspection.saved_models", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=180)
    return folder


@pytest.mark.parametrize("name", LAYER_FILES)
def test_layers_are_those_of_keras(folder: Path, name: str) -> None:
    found = inspect(folder / name)
    assert isinstance(found, ModelInspection)
    expected = json.loads((folder / "expected.json").read_text())
    assert [(row.name, row.class_name, row.parameters) for row in found.layers] == [
        (row["name"], row["class"], row["parameters"]) for row in expected
    ]
    assert found.parameters == PARAMETERS
    assert found.sparsity == pytest.approx(SPARSITY, abs=1e-6)
    assert found.name == "net"
    assert found.keras_version.startswith("3." if "keras3" in name else "2.")
    assert [(i.name, i.shape, i.dtype) for i in found.inputs] == [
        ("image", (-1, 8, 8, 3), "float32")
    ]


@pytest.mark.parametrize("name", LAYER_FILES)
def test_weights_of_a_layer(folder: Path, name: str) -> None:
    layers = {layer.name: layer for layer in inspect(folder / name).layers}
    hidden = layers["mm_hidden"]
    assert set(hidden.weights) == {(80, 6), (6,)}
    assert hidden.size_bytes == 4 * (80 * 6 + 6)
    assert hidden.sparsity == 0.5
    assert hidden.dtype == "float32"
    assert layers["batch_normalization"].sparsity is None


@pytest.mark.parametrize("name", SAVED_MODELS)
def test_saved_model(folder: Path, name: str) -> None:
    found = inspect(folder / name)
    assert found.parameters == PARAMETERS
    assert found.sparsity == pytest.approx(SPARSITY, abs=1e-6)
    assert found.inputs[0].shape == (-1, 8, 8, 3)
    assert "variables" in found.notes[0]


@pytest.mark.parametrize("name", ["keras3", "keras2"])
def test_live_models_say_the_same_as_their_files(folder: Path, name: str) -> None:
    live = ModelInspection.model_validate_json((folder / f"live-{name}.json").read_text())
    saved = inspect(folder / f"{name}.keras")
    assert live.parameters == saved.parameters
    assert live.sparsity == saved.sparsity
    assert live.keras_version == saved.keras_version
    assert live.inputs[0].shape == saved.inputs[0].shape
    assert [row.parameters for row in live.layers] == [row.parameters for row in saved.layers]
    assert live.path is None


def test_weights_outside_of_layers_are_told(folder: Path) -> None:
    text = (folder / "live-subclassed.json").read_text()
    live = ModelInspection.model_validate_json(text)
    assert live.parameters == (3 * 2 + 2) + 2
    assert [row.parameters for row in live.layers] == [3 * 2 + 2, 2]
    assert live.layers[-1].name == "subclassed"


def test_weights_alone(folder: Path) -> None:
    found = inspect_keras_file(folder / "only.weights.h5", "weights")
    assert found.notes == ("The file holds weights and no model.",)


def test_no_tensorflow_is_loaded(folder: Path) -> None:
    paths = [str(folder / name) for name in (*LAYER_FILES, *SAVED_MODELS)]
    script = (
        f"import sys, tfgreen\nfor path in {paths!r}: tfgreen.inspect(path)\n"
        "assert not {'tensorflow', 'keras', 'tf_keras'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=60)


@pytest.mark.parametrize("name", LAYER_FILES)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_cut_off_files(folder: Path, tmp_path: Path, name: str, share: float) -> None:
    content = (folder / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InvalidModelError):
        inspect(path)


@pytest.mark.parametrize("seed", range(30))
def test_damaged_files_raise_or_are_read(folder: Path, tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    name = LAYER_FILES[seed % len(LAYER_FILES)]
    content = bytearray((folder / name).read_bytes())
    for position in random.integers(0, len(content), 40):
        content[position] = random.integers(0, 256)
    path = tmp_path / name
    path.write_bytes(content)
    try:
        inspect(path)
    except InvalidModelError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("file", ["variables.index", "variables.data-00000-of-00001"])
def test_damaged_checkpoint(folder: Path, tmp_path: Path, file: str) -> None:
    copy = tmp_path / "saved"
    shutil.copytree(folder / SAVED_MODELS[0], copy)
    content = (copy / "variables" / file).read_bytes()
    for kept in (0, 20, 400):  # the arrays come first, the object graph after them
        (copy / "variables" / file).write_bytes(content[:kept])
        with pytest.raises(InvalidModelError, match="damaged SavedModel"):
            inspect(copy)


def test_checkpoint_values_are_those_of_the_model(folder: Path) -> None:
    prefix = folder / SAVED_MODELS[0] / "variables" / "variables"
    found = {v.shape: v.values() for v in read_checkpoint(prefix) if v.shape == (80, 6)}
    with h5py.File(folder / "keras3.h5") as file:
        kernel = file["model_weights/mm_hidden/mm_hidden/kernel"][()]
    np.testing.assert_array_equal(found[80, 6], kernel)


@pytest.mark.parametrize("noise_bytes", [0, 2_000_000], ids=["a thousandfold", "25-fold"])
def test_an_archive_that_expands_without_end_is_refused(tmp_path: Path, noise_bytes: int) -> None:
    """Keras stores weights uncompressed; deflate makes about a thousandth of zeros."""
    noise = np.random.default_rng(0).bytes(noise_bytes)
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
        archive.writestr("config.json", '{"class_name": "Sequential", "config": {}}')
        archive.writestr("model.weights.h5", noise + bytes(50_000_000 - noise_bytes))
    with pytest.raises(InvalidModelError, match=r"model\.weights\.h5 expands to 50,000,000 bytes"):
        inspect_keras_file(path, "keras3")


def test_links_into_other_files_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["weights/kernel"] = np.ones((10, 10))
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        group = file.create_group("model_weights/dense")
        group["bias"] = np.ones(3, np.float32)
        group["stolen"] = h5py.ExternalLink(str(secret), "weights")
        file["model_weights/other"] = h5py.ExternalLink(str(secret), "weights")
    found = inspect_keras_file(tmp_path / "linked.h5", "keras2-h5")
    assert found.parameters == 3


def test_missing_path_and_wrong_object(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="no file or folder"):
        inspect(tmp_path / "nothing.keras")
    with pytest.raises(UnsupportedModelError, match="Received int; expected a Keras model"):
        inspect(3)
    with pytest.raises(InvalidModelError):
        inspect(tmp_path)
