"""Importing code of the user's own, named on purpose: `module:function` and custom objects."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from tfgreen.errors import UnknownNameError, UsageError

CustomObjects = str | Mapping[str, Any] | None


def import_function(spec: str) -> Callable[[], Any]:
    """The function that `module:function` names.

    The working directory is searched as well as the installed packages. Raises UsageError when
    the module cannot be imported and UnknownNameError when it has no such function.

    >>> import_function("os.path:join").__name__
    'join'
    """
    module_name, _, name = spec.partition(":")
    module = _import_module(module_name)
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
        raise UnknownNameError(f"function of module {module_name}", name, known)
    return function  # type: ignore[no-any-return]


def resolve_custom_objects(custom_objects: CustomObjects) -> dict[str, Any]:
    """Custom objects by name.

    custom_objects: a mapping as Keras takes it, or a module's name: then every public class and
        function in it, or the mapping that `module:NAME` names. Importing the module also runs
        its `register_keras_serializable` decorators.

    >>> sorted(resolve_custom_objects({"Mine": int}))
    ['Mine']
    """
    if custom_objects is None:
        return {}
    if not isinstance(custom_objects, str):
        return dict(custom_objects)
    module_name, _, name = custom_objects.partition(":")
    module = _import_module(module_name)
    if not name:
        return {k: v for k, v in vars(module).items() if callable(v) and not k.startswith("_")}
    named = getattr(module, name, None)
    if isinstance(named, Mapping):
        return dict(named)
    if not callable(named):
        raise UnknownNameError(f"object of module {module_name}", name, vars(module))
    return {name: named}


def registered_names() -> Collection[str]:
    """Full names that `register_keras_serializable` knows in this process, of both flavours."""
    names: set[str] = set()
    for package in ("keras", "tf_keras"):
        keras = sys.modules.get(package)
        if keras is not None and hasattr(keras, "saving"):
            names.update(keras.saving.get_custom_objects())
    return names


def _import_module(name: str) -> ModuleType:
    try:
        with working_directory_first():
            return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(
            f"The module '{name}' cannot be imported: {error}. Give the dotted name of a module "
            "that is installed or lies in the working directory."
        ) from error
    except Exception as error:
        raise UsageError(
            f"The module '{name}' fails when it is imported: {type(error).__name__}: {error}"
        ) from error


@contextmanager
def working_directory_first() -> Iterator[None]:
    """Let modules be imported from the working directory, which no process here does by itself."""
    folder = str(Path.cwd())
    if folder in sys.path:
        yield
        return
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
