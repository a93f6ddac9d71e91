"""Telling what a model file is, from its own metadata and without loading it.

The first bytes tell the container (zip, HDF5, flatbuffer), the container's metadata tell which
Keras wrote it. Neither TensorFlow nor Keras is imported, and no file name is believed.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from tfgreen.errors import InvalidModelError, MissingDependencyError, MissingPathError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.models.config_signature import inputs_of, outputs_of
from tfgreen.models.safety import ConfigScan, ForeignCode, scan_config
from tfgreen.models.saved_model import GRAPH, read_saved_model
from tfgreen.signature import InputSpec
from tfgreen.user_code import names_a_function

Kind = Literal["keras3", "keras2", "keras3-h5", "keras2-h5", "saved-model", "tflite", "function"]

_CHUNK_BYTES = 1 << 20
_LARGEST_CONFIG_BYTES = 256 << 20
_ZIP, _HDF5, _TFLITE = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"TFL3"
_READ = "tfgreen reads .keras, .h5, SavedModel folders, float .tflite and module:function."


@dataclass(frozen=True)
class ModelSource:
    """A model that somebody gave, before anything of it is loaded.

    kind: the container and the Keras that wrote it; "function" is `module:function`.
    path: the file or folder; for "function" the text as given.
    classes: every class that the config names, sorted.
    foreign: what of it would run code that does not come from Keras.
    inputs, outputs: where the file tells them for certain, else None.
    """

    kind: Kind
    path: Path
    class_name: str | None = None
    keras_version: str | None = None
    classes: tuple[str, ...] = ()
    foreign: tuple[ForeignCode, ...] = ()
    inputs: tuple[InputSpec, ...] | None = None
    outputs: tuple[str, ...] | None = None

    @property
    def unsafe(self) -> tuple[str, ...]:
        """The foreign code in words."""
        return tuple(str(code) for code in self.foreign)

    @cached_property
    def sha256(self) -> str:
        """Of the file, or of a folder's names and contents; "" for "function". Read when asked."""
        if self.kind == "function":
            return ""
        try:
            return _sha256(_files(self.path))
        except OSError as error:
            raise _unreadable(self.path, error) from error


def identify(model: str | Path) -> ModelSource:
    """Tell what a path or a `module:function` is.

    Raises MissingPathError, InvalidModelError for what is damaged or no model, and
    MissingDependencyError when an .h5 file is given where h5py is not installed.

    >>> identify("my_models:build").kind
    'function'
    """
    path = Path(model)
    if not path.exists():
        if names_a_function(str(model)):
            return ModelSource("function", path)
        raise MissingPathError(f"There is no model at '{model}'. Give a path that exists. {_READ}")
    try:
        return _identify_folder(path) if path.is_dir() else _identify_file(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> InvalidModelError:
    return InvalidModelError(
        f"'{path}' cannot be read: {error.strerror or error}. Check its permissions."
    )


def _identify_folder(path: Path) -> ModelSource:
    if not (path / GRAPH).is_file():
        hint = "give its model.tflite" if (path / "manifest.json").exists() else _READ
        raise InvalidModelError(f"The folder '{path}' is no SavedModel: it has no {GRAPH}; {hint}")
    facts = read_saved_model(path)
    scans = [scan_config(config) for config in facts.configs]
    classes = {name for scan in scans for name in scan.classes}
    foreign = dict.fromkeys((*facts.foreign, *(code for scan in scans for code in scan.foreign)))
    return ModelSource(
        kind="saved-model",
        path=path,
        classes=tuple(sorted(classes)),
        foreign=tuple(foreign),
        inputs=facts.inputs,
        outputs=facts.outputs,
    )


def _identify_file(path: Path) -> ModelSource:
    with path.open("rb") as stream:
        head = stream.read(len(_HDF5))
    readers: dict[bytes, Callable[[Path], ModelSource]] = {
        _ZIP: _identify_zip,
        _HDF5: _identify_hdf5,
    }
    for magic, reader in readers.items():
        if head.startswith(magic):
            return reader(path)
    if head[4:8] == _TFLITE:
        return _identify_tflite(path)
    if not head:
        raise InvalidModelError(f"'{path}' is empty.")
    expected = {".keras": "a zip archive", ".h5": "an HDF5 file", ".hdf5": "an HDF5 file"}
    named = expected.get(path.suffix.lower(), "any model that tfgreen knows")
    raise InvalidModelError(f"'{path}' is not {named}: it begins with {head!r}. {_READ}")


def _identify_zip(path: Path) -> ModelSource:
    try:
        with zipfile.ZipFile(path) as archive:
            metadata = _member(archive, "metadata.json")
            config = _member(archive, "config.json")
            broken = archive.testzip()
    except (zipfile.BadZipFile, EOFError, ValueError, RecursionError) as error:
        raise InvalidModelError(
            f"'{path}' is damaged or cut off and cannot be read as a .keras file ({error}). "
            "Save or copy it again."
        ) from error
    except KeyError as error:
        raise InvalidModelError(
            f"'{path}' is a zip archive but no .keras file: {error.args[0]}. Save the model with "
            "model.save('name.keras')."
        ) from error
    if broken is not None:
        raise InvalidModelError(
            f"'{path}' is damaged: '{broken}' in it has a wrong checksum. Save or copy it again."
        )
    version = _version(path, metadata.get("keras_version"))
    return _keras_source("keras2" if version < 3 else "keras3", path, metadata, config)


def _member(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    if archive.getinfo(name).file_size > _LARGEST_CONFIG_BYTES:
        raise ValueError(f"{name} is larger than any model's")
    value = json.loads(archive.read(name))
    if not isinstance(value, dict):
        raise ValueError(f"{name} is no JSON object")
    return value


def _identify_hdf5(path: Path) -> ModelSource:
    try:
        import h5py
    except ImportError as error:
        raise MissingDependencyError(
            f"'{path}' is an HDF5 file, and h5py is not installed: pip install h5py"
        ) from error
    try:
        with h5py.File(path, "r") as file:
            attributes = {
                name: _text(file.attrs[name])
                for name in ("keras_version", "model_config")
                if name in file.attrs
            }
        config = json.loads(attributes["model_config"])
    except KeyError as error:
        raise InvalidModelError(
            f"'{path}' holds no model: it has no model_config, so it is a weights file or was not "
            "written by Keras. Save the whole model with model.save(...)."
        ) from error
    except (OSError, ValueError, RuntimeError, RecursionError) as error:
        raise InvalidModelError(
            f"'{path}' is damaged or cut off and cannot be read as an HDF5 file "
            f"({' '.join(str(error).split())[:160]}). Save or copy it again."
        ) from error
    version = _version(path, attributes.get("keras_version", "2.0"))
    return _keras_source("keras2-h5" if version < 3 else "keras3-h5", path, attributes, config)


def _text(attribute: Any) -> str:
    return attribute.decode("utf-8") if isinstance(attribute, bytes) else str(attribute)


def _version(path: Path, keras_version: Any) -> int:
    major = str(keras_version).split(".")[0]
    if not major.isdigit():
        raise InvalidModelError(
            f"'{path}' does not tell which Keras wrote it: its keras_version is {keras_version!r}."
        )
    return int(major)


def _keras_source(
    kind: Kind, path: Path, metadata: dict[str, Any], config: dict[str, Any]
) -> ModelSource:
    if not isinstance(config, dict) or "class_name" not in config:
        raise InvalidModelError(f"'{path}' is damaged: its config names no model class.")
    scan: ConfigScan = scan_config(config)
    return ModelSource(
        kind=kind,
        path=path,
        class_name=str(config["class_name"]),
        keras_version=metadata.get("keras_version"),
        classes=scan.classes,
        foreign=scan.foreign,
        inputs=inputs_of(config),
        outputs=outputs_of(config),
    )


def _identify_tflite(path: Path) -> ModelSource:
    model = TfliteModel.read(path)
    inputs = zip(model.input_names, model.inputs, strict=True)
    specs = [InputSpec(n, model.tensors[i].shape[1:], model.tensors[i].dtype) for n, i in inputs]
    return ModelSource(
        kind="tflite",
        path=path,
        inputs=tuple(specs),
        outputs=model.output_names,
    )


def _files(path: Path) -> list[tuple[str, Path]]:
    """The files of a folder with their names in it, sorted; a file alone goes without a name."""
    if not path.is_dir():
        return [("", path)]
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return [(file.relative_to(path).as_posix(), file) for file in files]


def _sha256(files: Iterable[tuple[str, Path]]) -> str:
    """Of one file its plain hash; of several also their names and sizes."""
    digest = hashlib.sha256()
    for name, path in files:
        if name:
            digest.update(f"{name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
