"""Plain values as TOML text. The standard library reads TOML and does not write it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from tfgreen.errors import UsageError

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def toml_lines(table: Mapping[str, Any]) -> list[str]:
    """One line for each key; tables inside become inline ones.

    >>> print("\\n".join(toml_lines({"sparsity": {"conv 1": 0.5}, "skip": ["head"]})))
    sparsity = { "conv 1" = 0.5 }
    skip = ["head"]
    """
    return [f"{_key(key)} = {_value(value)}" for key, value in table.items()]


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(toml_lines(value)) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    raise UsageError(f"A recipe received {value!r}; expected finite numbers, texts and tables.")


def _text(text: str) -> str:
    """A basic string; JSON escapes what TOML wants escaped, but for the delete character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
