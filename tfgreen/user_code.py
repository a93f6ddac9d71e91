"""Importing code of the user's own, named on purpose: `module:function`."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from tfgreen.errors import UnknownNameError, UsageError

_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def names_a_function(text: str) -> bool:
    """Whether a text has the form `module:function`.

    >>> names_a_function("my.models:build"), names_a_function("C:\\\\models")
    (True, False)
    """
    return _FUNCTION.fullmatch(text) is not None


def import_function(spec: str) -> Callable[[], Any]:
    """The function that `module:function` names.

    The working directory is searched as well as the installed packages. Raises UsageError when
    the module cannot be imported and UnknownNameError when it has no such function.

    >>> import_function("os.path:join").__name__
    'join'
    """
    module_name, _, name = spec.partition(":")
    module = import_module(module_name)
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
        raise UnknownNameError(f"function of module {module_name}", name, known)
    return function  # type: ignore[no-any-return]


def import_module(name: str) -> ModuleType:
    """The module of that dotted name, also from the working directory.

    Raises UsageError when it cannot be imported, or fails or ends the process while it is.
    """
    try:
        with working_directory_first():
            return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(
            f"The module '{name}' cannot be imported: {error}. Give the dotted name of a module "
            "that is installed or lies in the working directory."
        ) from error
    except (Exception, SystemExit) as error:  # whatever a user's module raises
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
