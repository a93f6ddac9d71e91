from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pytest

from tests.tiny_models import int8_classifier
from tfgreen.errors import InvalidModelError, MissingDependencyError, MissingPathError
from tfgreen.models.identification import ModelSource, identify
from tfgreen.signature import InputSpec

CONFIG = {
    "class_name": "Sequential",
    "config": {
        "layers": [
            {
                "class_name": "InputLayer",
                "config": {"name": "x", "batch_shape": [None, 3], "dtype": "float32"},
            },
            {"class_name": "Dense", "config": {"name": "y"}},
        ]
    },
}


def keras_zip(path: Path, version: str = "3.15.1", config: Any = CONFIG) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", bytes(range(256)) * 64)
    return path


def hdf5(path: Path, **attributes: str) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs.update(attributes)
        file.create_dataset("weights", data=list(range(4096)))
    return path


@pytest.mark.parametrize(("version", "kind"), [("3.15.1", "keras3"), ("2.21.0", "keras2")])
def test_a_keras_file_tells_which_keras_wrote_it(tmp_path: Path, version: str, kind: str) -> None:
    path = keras_zip(tmp_path / "m.keras", version)
    source = identify(path)
    assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert source == ModelSource(
        kind=kind,  # type: ignore[arg-type]
        path=path,
        class_name="Sequential",
        keras_version=version,
        classes=("Dense", "InputLayer", "Sequential"),
        inputs=(InputSpec("x", (3,), "float32"),),
        outputs=("y",),
    )


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"keras_version": "3.15.1"}, "keras3-h5"),
        ({"keras_version": "2.21.0"}, "keras2-h5"),
        ({}, "keras2-h5"),
    ],
)
def test_an_hdf5_file_tells_which_keras_wrote_it(
    tmp_path: Path, attributes: dict[str, str], kind: str
) -> None:
    path = hdf5(tmp_path / "m.h5", model_config=json.dumps(CONFIG), **attributes)
    assert identify(path).kind == kind


def test_the_container_counts_and_not_the_name(tmp_path: Path) -> None:
    assert identify(keras_zip(tmp_path / "m.h5")).kind == "keras3"


def test_a_tflite_tells_its_inputs(tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    path.write_bytes(int8_classifier())
    source = identify(path)
    assert source.kind == "tflite"
    assert source.inputs is not None
    assert [spec.dtype for spec in source.inputs] == ["int8"]


def test_a_saved_model_tells_its_default_signature(saved_model: Path) -> None:
    source = identify(saved_model)
    assert source.kind == "saved-model"
    assert source.inputs == (
        InputSpec("extra", (4,), "float32"),
        InputSpec("image", (8, 8, 3), "float32"),
    )
    assert source.outputs == ("output_0", "output_1")
    assert source.foreign == ()


def test_the_hash_of_a_folder_covers_every_file(saved_model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for file in saved_model.rglob("*"):
        if file.is_file():
            target = copy / file.relative_to(saved_model)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    assert identify(copy).sha256 == identify(saved_model).sha256
    (copy / "assets").mkdir(exist_ok=True)
    (copy / "assets" / "words.txt").write_text("one")
    assert identify(copy).sha256 != identify(saved_model).sha256


def test_a_model_is_hashed_once_and_only_when_asked(tmp_path: Path) -> None:
    path = keras_zip(tmp_path / "m.keras")
    source = identify(path)
    content = path.read_bytes()
    path.write_bytes(content + b"more")
    assert source.sha256 == hashlib.sha256(content + b"more").hexdigest()
    path.write_bytes(content)
    assert source.sha256 == hashlib.sha256(content + b"more").hexdigest()
    assert identify("my_models:build").sha256 == ""
    path.unlink()
    with pytest.raises(InvalidModelError, match="cannot be read: No such file"):
        _ = replace(source).sha256


@pytest.mark.parametrize("kind", ["keras3", "keras2", "keras2-h5"])
def test_real_files_hold_no_foreign_code(model_file: Callable[[str], Path], kind: str) -> None:
    source = identify(model_file(kind))
    assert (source.kind, source.unsafe) == (kind, ())


def test_module_and_function_need_no_file() -> None:
    assert identify("package.models:build") == ModelSource("function", Path("package.models:build"))


@pytest.mark.parametrize("spec", ["missing.keras", "C:/models/m.h5", "a:b:c"])
def test_a_missing_path_is_a_usage_error(spec: str) -> None:
    with pytest.raises(MissingPathError, match="no model at") as missing:
        identify(spec)
    assert missing.value.exit_code == 2


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def flipped(path: Path, piece: bytes) -> Path:
    content = bytearray(path.read_bytes())
    content[content.index(piece)] ^= 0xFF
    path.write_bytes(content)
    return path


def text(path: Path, content: str = "hello, this is text") -> Path:
    path.write_text(content)
    return path


def folder(path: Path, **files: str) -> Path:
    path.mkdir()
    for name, content in files.items():
        (path / name.replace("__", ".")).write_text(content)
    return path


def plain_zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no model")
    return path


DAMAGED: dict[str, Callable[[Path], Path]] = {
    "text named h5": lambda p: text(p / "m.h5"),
    "text named keras": lambda p: text(p / "m.keras"),
    "text named tflite": lambda p: text(p / "m.tflite"),
    "empty": lambda p: text(p / "m.keras", ""),
    "cut keras": lambda p: cut(keras_zip(p / "m.keras")),
    "wrong checksum": lambda p: flipped(keras_zip(p / "m.keras"), bytes(range(256))),
    "zip of something else": lambda p: plain_zip(p / "m.keras"),
    "config of something else": lambda p: keras_zip(p / "m.keras", config={"a": 1}),
    "config is a list": lambda p: keras_zip(p / "m.keras", config=[1]),
    "no version": lambda p: keras_zip(p / "m.keras", version="unknown"),
    "cut h5": lambda p: cut(hdf5(p / "m.h5", model_config=json.dumps(CONFIG))),
    "h5 of weights": lambda p: hdf5(p / "m.weights.h5"),
    "h5 with a broken config": lambda p: hdf5(p / "m.h5", model_config="{"),
    "h5 whose config is no object": lambda p: hdf5(p / "m.h5", model_config="3"),
    "folder": lambda p: folder(p / "m"),
    "bundle": lambda p: folder(p / "m", manifest__json="{}"),
    "broken SavedModel": lambda p: folder(p / "m", saved_model__pb="hello"),
    "empty SavedModel": lambda p: folder(p / "m", saved_model__pb=""),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damage_is_one_clear_sentence(damage: str, tmp_path: Path) -> None:
    path = DAMAGED[damage](tmp_path)
    with pytest.raises(InvalidModelError) as error:
        identify(path)
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 450
    assert error.value.exit_code == 1


@pytest.mark.parametrize("size", [8, 100, 1000])
def test_a_cut_tflite_is_damaged(size: int, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(int8_classifier()[:size])
    with pytest.raises(InvalidModelError):
        identify(path)


def test_a_config_too_deep_for_the_parser_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.0"}')
        archive.writestr("config.json", '{"a":' + "[" * 200_000 + "]" * 200_000 + "}")
    with pytest.raises(InvalidModelError):
        identify(path)


def test_without_h5py_the_pip_line_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hdf5(tmp_path / "m.h5", model_config=json.dumps(CONFIG))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingDependencyError, match="pip install h5py"):
        identify(path)


def test_identification_imports_neither_tensorflow_nor_keras(
    model_file: Callable[[str], Path], saved_model: Path
) -> None:
    files = [str(model_file(kind)) for kind in ("keras3", "keras2", "keras2-h5")]
    code = """
import sys
from tfgreen.models.loading import identify, scan
for path in sys.argv[1:]:
    scan(identify(path))
loaded = {"tensorflow", "keras", "tf_keras", "tensorflow_model_optimization"} & {*sys.modules}
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code, *files, str(saved_model)], check=True, timeout=60)
