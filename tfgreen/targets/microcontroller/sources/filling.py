"""The templates: plain files in which `@NAME@` stands for a text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources

_PLACE = re.compile(r"@([A-Z0-9_]+)@")


def filled(template: str, texts: Mapping[str, str]) -> bytes:
    """A template's content with every place filled; KeyError for a place without a text."""
    folder = resources.files(__package__).joinpath("templates")
    content = folder.joinpath(template).read_text(encoding="utf-8")
    return _PLACE.sub(lambda place: texts[place[1]], content).encode()
