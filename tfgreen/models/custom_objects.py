"""Custom objects: the classes and functions of the user's own that a model is built of."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from typing import Any

from tfgreen.errors import UnknownNameError
from tfgreen.user_code import import_module

CustomObjects = str | Mapping[str, Any] | None


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
    module = import_module(module_name)
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
