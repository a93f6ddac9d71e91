"""The dated table of ops that the Edge TPU runs.

>>> edgetpu_table().rows["SOFTMAX"].rules
('one-dimensional-input', 'at-most-16000-values')
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib import resources

_FILE = "edgetpu_ops.toml"


@dataclass(frozen=True)
class Row:
    """One op: the rules it must keep, all of them in words, and what to do where it does not.

    `might`: where a rule is broken the compiler may still place the op.
    """

    rules: tuple[str, ...]
    might: bool
    told: str
    way_out: str


@dataclass(frozen=True)
class Table:
    """Ops by name, with the date, the versions and the page that they were taken from."""

    dated: date
    versions: str
    source: str
    rows: Mapping[str, Row]


@functools.cache
def edgetpu_table() -> Table:
    """The table that comes with tfgreen."""
    text = resources.files(__package__).joinpath(_FILE).read_text(encoding="utf-8")
    table = tomllib.loads(text)
    rows = {
        op: Row(
            rules=tuple(entry["rules"]),
            might=entry.get("might", False),
            told=entry.get("told", ""),
            way_out=entry.get("way_out", ""),
        )
        for entry in table["row"]
        for op in entry["ops"]
    }
    return Table(table["dated"], table["versions"], table["source"], rows)
