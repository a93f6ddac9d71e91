"""Models in and out: identify and judge a file, load it, or save an object for the worker.

`identify` and `scan` read metadata only and import neither TensorFlow nor Keras; `load_model` and
`save_for_worker` import what the model needs, and no more.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from tfgreen.errors import InvalidModelError, TfgreenError, UnsupportedModelError, UsageError
from tfgreen.models.custom_objects import (
    CustomObjects,
    registered_names,
    resolve_custom_objects,
)
from tfgreen.models.identification import ModelSource, identify
from tfgreen.models.safety import refuse_foreign_code
from tfgreen.user_code import import_function, working_directory_first

__all__ = [
    "ModelSource",
    "as_file",
    "flavour_of",
    "identify",
    "load_model",
    "load_source",
    "save_for_worker",
    "scan",
]

Flavour = Literal["keras3", "keras2"]

_SUFFIXES = {"keras3": ".keras", "keras2": ".keras", "keras3-h5": ".h5", "keras2-h5": ".h5"}


def scan(
    source: ModelSource, *, custom_objects: CustomObjects = None, allow_unsafe: bool = False
) -> None:
    """Refuse a model that would run foreign code, before anything of it is loaded.

    custom_objects: a mapping defines what it names. A module's name is not imported here: what it
        may define is left to the process that loads the model, which scans again; Lambda layers
        and ops that touch the machine are refused all the same.
    Raises UnsafeModelError.
    """
    known = None if isinstance(custom_objects, str) else {*(custom_objects or ())}
    refuse_foreign_code(f"'{source.path}'", source.foreign, known, allow_unsafe)


def load_model(
    model: str | Path, custom_objects: CustomObjects = None, allow_unsafe: bool = False
) -> Any:
    """Load a Keras model of either flavour, uncompiled.

    model: a .keras or .h5 file of Keras 3 or tf_keras (TensorFlow Model Optimization's too), or
        `module:function` that returns a model.
    custom_objects: a mapping from names to classes and functions, or the name of a module (or
        `module:NAME`) that defines them.
    allow_unsafe: load Lambda layers and classes that the file names; it runs their code.

    Raises MissingPathError, InvalidModelError (damaged), UnsafeModelError (would run foreign code)
    and UnsupportedModelError for what holds no Keras model: a SavedModel or a .tflite.

    >>> load_model("missing.keras")
    Traceback (most recent call last):
        ...
    tfgreen.errors.MissingPathError: There is no model at 'missing.keras'. Give a path that \
exists. tfgreen reads .keras, .h5, SavedModel folders, float .tflite and module:function.
    """
    return load_source(identify(model), custom_objects, allow_unsafe)


def load_source(
    source: ModelSource, custom_objects: CustomObjects = None, allow_unsafe: bool = False
) -> Any:
    """`load_model` for a model that has been identified already."""
    refuse_graph(source)
    objects = resolve_custom_objects(custom_objects)
    if source.kind == "function":
        return _call(source)
    known = {*objects, *registered_names()}
    refuse_foreign_code(f"'{source.path}'", source.foreign, known, allow_unsafe)
    with _right_suffix(source) as path:
        return _told_by_keras(source, lambda: _load_file(source, path, objects, allow_unsafe))


def refuse_graph(source: ModelSource) -> None:
    """Raise UnsupportedModelError for a file that holds no Keras model."""
    if source.kind in ("saved-model", "tflite"):
        noun = "SavedModel" if source.kind == "saved-model" else ".tflite file"
        raise UnsupportedModelError(
            f"'{source.path}' is a {noun}: it holds a graph and no Keras model to load. Export or "
            "inspect it directly, or give the .keras file that it was made of."
        )


def save_for_worker(model: Any, folder: Path, *, batch: int = 1) -> Path:
    """Save a model object so that the conversion worker can open it; returns the file or folder.

    Models of known layers become a Keras file, whatever the backend. Others (subclassed ones, those
    with layers of their own or Lambdas) become a SavedModel of their graph with a fixed batch,
    which needs the TensorFlow backend. The model is not changed.

    Raises UnsupportedModelError for objects that are no model, models that were never built, and
    models with layers of their own on another backend.
    """
    flavour = flavour_of(model)
    if not model.built:
        raise UnsupportedModelError(
            f"The model '{model.name}' was never built, so the shape of its input is unknown. Call "
            "it once on a batch, or give it an Input layer."
        )
    path = folder / ("model.keras" if flavour == "keras3" else "model.h5")
    try:
        _save_file(model, path)
    except UnsupportedModelError as problem:
        backend = sys.modules["keras"].config.backend() if flavour == "keras3" else "tensorflow"
        if backend == "tensorflow":
            return _save_graph(model, folder, batch)
        raise UnsupportedModelError(
            f"The model '{model.name}' runs on the {backend} backend and cannot be handed to the "
            f"converter as it is: {problem}. Save it with model.save('model.keras') and export "
            "that file with custom_objects naming the module of those classes (written with "
            "keras.ops), or build the model under KERAS_BACKEND=tensorflow."
        ) from problem
    return path


def as_file(model: Any, folder: Path, *, batch: int = 1) -> str:
    """A path (or "module:function") as it is; a model object saved in a folder that this makes."""
    if isinstance(model, str | Path):
        return str(model)
    folder.mkdir(parents=True)
    return str(save_for_worker(model, folder, batch=batch))


def flavour_of(model: object) -> Flavour:
    """Which Keras a model object belongs to, told by its base classes and without importing any.

    Raises UnsupportedModelError for anything that is no Keras model.
    """
    for base in type(model).__mro__:
        if base.__module__.startswith("keras.src.models."):
            return "keras3"
        if base.__module__ == "tf_keras.src.engine.training":
            return "keras2"
    raise UnsupportedModelError(
        f"Received a {type(model).__module__}.{type(model).__qualname__}; expected a model of "
        f"Keras 3 or tf_keras{_way_in(model)}."
    )


def output_names_of(model: Any) -> list[str]:
    """Names of a model's outputs in their order; a Sequential of Keras 3 has its last layer's.

    model: of either Keras, built, and functional or sequential.
    """
    names = getattr(model, "output_names", None)
    return list(names) if names else [model.layers[-1].name]


def _way_in(model: object) -> str:
    """What to do with something that stands for a model."""
    if isinstance(model, str | Path):
        return f": load it first, with tfgreen.load_model({str(model)!r})"
    return "" if not callable(model) else ": call it, and hand over the model that it returns"


def _load_file(source: ModelSource, path: Path, objects: dict[str, Any], allow_unsafe: bool) -> Any:
    if source.kind.startswith("keras3"):
        from tfgreen.models import keras3

        return keras3.load(path, objects, allow_unsafe)
    from tfgreen.models import keras2

    return keras2.load(path, source.classes, objects, allow_unsafe)


def _told_by_keras(source: ModelSource, load: Callable[[], Any]) -> Any:
    """Keras raises anything at all on a damaged file: make one sentence of it."""
    try:
        return load()
    except TfgreenError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        hint = "The file may be damaged."
        if source.kind == "keras3-h5":
            hint += " Keras 3 cannot read back every .h5 that it writes: save it as .keras."
        if source.foreign:
            hint = f"It needs {', '.join(source.unsafe)}: define them with custom_objects."
        raise InvalidModelError(
            f"'{source.path}' was written by Keras {source.keras_version} and cannot be loaded: "
            f"{reason} {hint}"
        ) from error


@contextmanager
def _right_suffix(source: ModelSource) -> Iterator[Path]:
    """Keras chooses its reader by the file's name; a link gives it the right one.

    Where links need a privilege, as on Windows, a copy does.
    """
    suffix = _SUFFIXES[source.kind]
    if source.path.suffix == suffix:
        yield source.path
        return
    with tempfile.TemporaryDirectory(prefix="tfgreen-") as folder:
        link = Path(folder) / f"model{suffix}"
        try:
            link.symlink_to(source.path.resolve())
        except OSError:
            shutil.copyfile(source.path, link)
        yield link


def _call(source: ModelSource) -> Any:
    spec = str(source.path)
    function = import_function(spec)
    try:
        with working_directory_first():  # the function may import, too
            model = function()
    except Exception as error:
        raise UsageError(f"{spec} failed: {type(error).__name__}: {error}") from error
    flavour_of(model)
    return model


def _save_file(model: Any, path: Path) -> None:
    """Save a Keras file; UnsupportedModelError if it would not load without the user's code."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.save(path, **({} if path.suffix == ".keras" else {"include_optimizer": False}))
        foreign = identify(path).unsafe
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UnsupportedModelError(f"it cannot be saved ({reason})") from error
    if foreign:
        raise UnsupportedModelError(f"it has {', '.join(foreign)}")


def _save_graph(model: Any, folder: Path, batch: int) -> Path:
    from tfgreen.models.serving import serve_model

    path = folder / "saved_model"
    serve_model(model, batch).save(path)
    return path
