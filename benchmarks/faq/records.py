"""Records of measurements as JSON in benchmarks/records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "records"


def read(name: str) -> dict[str, Any]:
    """What was measured for a question."""
    found: dict[str, Any] = json.loads(_path(name).read_text(encoding="utf-8"))
    return found


def write(name: str, record: dict[str, Any]) -> None:
    """Keep what was measured."""
    FOLDER.mkdir(exist_ok=True)
    _path(name).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def interval_of(mean: float, low: float, high: float) -> dict[str, float]:
    """A mean with its interval, to four digits behind the point."""
    return {"mean": round(mean, 4), "low": round(low, 4), "high": round(high, 4)}


def _path(name: str) -> Path:
    return FOLDER / f"faq_{name}.json"
