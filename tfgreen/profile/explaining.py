"""Pydantic's complaints about a profile as one sentence for people."""

from __future__ import annotations

import difflib
import re
from typing import get_args

from pydantic import BaseModel, ValidationError


def sentence(where: str, error: ValidationError, model: type[BaseModel]) -> str:
    """Phrase pydantic's first complaint as one sentence, and count the others."""
    # A misspelt key is also a missing one; the spelling is what there is to mend.
    complaints = sorted(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    first = complaints[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        text = f"unknown key '{key}'.{_closest_key(key, _known_keys(model))}"
    elif first["type"] == "missing":
        text = f"the key '{key}' is missing"
    elif "error" in first.get("ctx", {}):
        text = f"{key + ': ' if key else ''}{first['ctx']['error']}".rstrip(".")
    else:
        received = f"{first['input']!r} ({type(first['input']).__name__})"
        text = f"'{key}' is {received}, but {re.sub('^(Input|String) ', '', first['msg'])}"
    more = f" ({len(complaints) - 1} more to mend.)" if len(complaints) > 1 else ""
    return f"In {where}: {text}.{more}"


def _known_keys(section: type[BaseModel], prefix: str = "") -> list[str]:
    """Every key and every table, those inside tables with the table's name before them."""
    keys: list[str] = []
    for name, field in section.model_fields.items():
        keys.append(prefix + name)
        for kind in (field.annotation, *get_args(field.annotation)):  # X, or X | None
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                keys += _known_keys(kind, f"{prefix}{name}.")
    return keys


def _closest_key(key: str, known: list[str]) -> str:
    """Hint at the known key that is spelt alike, wherever it lives, and at the key's neighbours."""
    leaves = {name.rpartition(".")[2]: name for name in known}
    close = difflib.get_close_matches(key, known, n=1)
    leaf = difflib.get_close_matches(key.rpartition(".")[2], leaves, n=1)
    best = close or [leaves[name] for name in leaf]
    hint = f" Did you mean '{best[0]}'?" if best else ""
    section = key.rpartition(".")[0]
    neighbours = [name for name in known if name.rpartition(".")[0] == section] or known
    return f"{hint} Known keys there: {', '.join(neighbours)}"
