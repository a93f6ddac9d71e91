"""What a repair tried, what it kept, and what each step did, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType

from tfgreen.reporting.tables import bullet, heading, table
from tfgreen.wording import ABSENT, share_text

Facts = Mapping[str, Any]
"""`Bundle.facts["repair"]`."""


def render_repair(facts: Facts) -> RenderableType:
    """A table of the steps, one line each, and the sensitivity of layers where it was measured."""
    return Group(*_parts(facts))


def repair_summary(facts: Facts | None) -> Iterator[str]:
    """Plain lines, for notebooks and logs; none where no repair was asked for."""
    if facts is None:
        return
    if not facts["steps"]:
        yield "Repair: nothing was changed, since the fidelity gate passes."
        return
    yield f"Repair: SQNR {_sqnr(facts['before'])} to {_sqnr(facts['after'])} on {_judges(facts)}."
    for step in facts["steps"]:
        kept = "kept" if step["applied"] else "not kept"
        yield f"{step['title']}: {kept}. {step['said']}"
    if facts["recommendation"]:
        yield str(facts["recommendation"])


def _parts(facts: Facts) -> Iterator[RenderableType]:
    if not facts["steps"]:
        yield bullet(next(repair_summary(facts)))
        return
    columns = ("step", ">before", ">after", ">agreement", "kept", "~what")
    yield table("Repair", columns, [_row(step) for step in facts["steps"]], _judges(facts))
    for step in facts["steps"]:
        units = step["facts"].get("sensitivity")
        if units:
            yield _sensitivity(units, step["facts"]["bits"])
    if facts["recommendation"]:
        yield heading("Left to do")
        yield bullet(str(facts["recommendation"]))


def _row(step: Facts) -> Sequence[object]:
    after = step["after"]
    return (
        step["title"],
        _sqnr(step["before"]),
        ABSENT if after is None else _sqnr(after),
        ABSENT if after is None else _share(after["agreement"]),
        "yes" if step["applied"] else "no",
        step["said"],
    )


def _sensitivity(units: Sequence[Facts], bits: Sequence[int]) -> RenderableType:
    """What each layer alone gains with more bits: the largest gain first."""
    ordered = sorted(units, key=lambda unit: -(unit["gain"] or 0.0))
    rows = [
        (unit["op"], unit["tensor"], share_text(unit["gain"]), f"{unit['added_bytes']:,}")
        if unit["gain"] is not None
        else (unit["op"], unit["tensor"], "cannot be", unit["hindrance"].splitlines()[0])
        for unit in ordered
    ]
    columns = ("=op", "~tensor", ">error taken away", ">bytes more")
    return table(f"Layers with {bits[0]} of {bits[1]} bits, each alone", columns, rows)


def _judges(facts: Facts) -> str:
    origin = "held-back" if facts["are_held_back"] else "calibration"
    return f"{facts['judged_on']} {origin} samples"


def _sqnr(score: Facts) -> str:
    return "exact" if score["sqnr_db"] is None else f"{score['sqnr_db']:.1f} dB"


def _share(value: float | None) -> str:
    return ABSENT if value is None else share_text(value)
