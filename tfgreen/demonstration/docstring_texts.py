"""Text that every machine with Python has: the docstrings of the standard library."""

from __future__ import annotations

import ast
import string
import sysconfig
from pathlib import Path

CHARACTERS = string.printable[:95] + "\n"
_LEFT_OUT = ("site-packages", "test", "tests", "idlelib", "lib2to3", "encodings")
_SHORTEST = 80


def docstring_texts(limit: int = 2_000_000) -> tuple[str, str]:
    """Docstrings for training and others, a tenth as many, that were held back.

    Args:
        limit: most characters of both together. Every tenth docstring is held back; characters
            outside of `CHARACTERS` are dropped.
    """
    kept: tuple[list[str], list[str]] = ([], [])
    size = 0
    for number, text in enumerate(_docstrings()):
        kept[number % 10 == 9].append(text)
        size += len(text) + 2
        if size >= limit:
            break
    return "\n\n".join(kept[0]), "\n\n".join(kept[1])


def _docstrings() -> list[str]:
    """Each docstring once, file by file in the order of their names."""
    folder = Path(sysconfig.get_path("stdlib"))
    found: dict[str, None] = {}
    for path in sorted(folder.rglob("*.py")):
        if not any(part in _LEFT_OUT for part in path.relative_to(folder).parts):
            found.update(dict.fromkeys(_docstrings_of(path)))
    return list(found)


def _docstrings_of(path: Path) -> list[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):  # a template, or a file of another Python
        return []
    known = set(CHARACTERS)
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, documented))
    plain = ("".join(letter for letter in text if letter in known) for text in texts if text)
    return [text for text in plain if len(text) >= _SHORTEST]
