"""What was found out, as data: a record a row, a cell a column; JSON on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

COMMITTED = Path(__file__).parent / "records.json"
CACHE = Path(__file__).parents[1] / ".cache" / "coverage"

COLUMNS = (
    "bridge",
    "prune-at-once",
    "prune",
    "cluster",
    "qat",
    "export",
    "export-qat",
    "tfmot",
)
Status = Literal["works", "refused", "failed"]


@dataclass(frozen=True)
class Cell:
    """One column for one network.

    status: "works"; "refused", an error that tells the layer and a way out; "failed", anything
        else.
    figures: by name, with the unit in it.
    message: why it does not work.
    """

    status: Status
    figures: Mapping[str, float] = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True)
class Record:
    """One network: its size, and every cell that was computed so far."""

    row: str
    parameters: int
    cells: Mapping[str, Cell]

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Record:
        """A record from plain values."""
        cells = {name: Cell(**cell) for name, cell in facts["cells"].items()}
        return cls(facts["row"], facts["parameters"], cells)

    def to_facts(self) -> dict[str, Any]:
        """The same as plain values, ready for JSON; figures to four digits."""
        facts = asdict(self)
        for cell in facts["cells"].values():
            cell["figures"] = {name: float(f"{x:.4g}") for name, x in cell["figures"].items()}
        return facts


def path_of(row: str) -> Path:
    """Where the record of a row is kept between runs."""
    return CACHE / f"{row}.json"


def read(path: Path) -> Record | None:
    """The record in a file; None if there is none."""
    if not path.exists():
        return None
    return Record.from_facts(json.loads(path.read_text(encoding="utf-8")))


def write(path: Path, record: Record) -> None:
    """Write a record in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(record.to_facts(), indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def committed() -> dict[str, Record]:
    """The records behind docs/coverage.md, by row."""
    if not COMMITTED.exists():
        return {}
    found = json.loads(COMMITTED.read_text(encoding="utf-8"))
    return {facts["row"]: Record.from_facts(facts) for facts in found}


def commit(records: list[Record]) -> None:
    """Write the records behind docs/coverage.md."""
    text = json.dumps([record.to_facts() for record in records], indent=1)
    COMMITTED.write_text(text + "\n", encoding="utf-8")
