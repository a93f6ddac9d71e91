"""Several bundles in one table: each figure in a row, each bundle in a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfgreen.reporting.page.record import BundleReport, Figure, Value
from tfgreen.reporting.page.values import value_text


@dataclass(frozen=True)
class Row:
    """One figure of every bundle; `best` are the columns that nothing else beats."""

    label: str
    cells: tuple[str, ...]
    best: frozenset[int] = frozenset()


def rows_of(reports: Sequence[BundleReport]) -> list[Row]:
    """Every figure that one of the bundles has, in the order of their pages."""
    keys = list(dict.fromkeys(figure.key for report in reports for figure in report.figures))
    by_key = [{figure.key: figure for figure in report.figures} for report in reports]
    rows = [Row("Profile", tuple(report.profile for report in reports))]
    for key in keys:
        figures = [found.get(key) for found in by_key]
        first = next(figure for figure in figures if figure is not None)
        rows.append(
            Row(
                label=first.label,
                cells=tuple(
                    value_text(figure.after if figure else None, first.unit) for figure in figures
                ),
                best=_best(figures),
            )
        )
    return rows


def _best(figures: Sequence[Figure | None]) -> frozenset[int]:
    """Those that no other one beats beyond all bounds; nothing where all are alike."""
    known = {
        place: _ends(figure.after, figure.better)
        for place, figure in enumerate(figures)
        if figure is not None and figure.after is not None
    }
    highest = max((worst for worst, _ in known.values()), default=0.0)
    best = frozenset(place for place, (_, most) in known.items() if most >= highest)
    return best if len(best) < len(known) else frozenset()


def _ends(value: Value, better: str) -> tuple[float, float]:
    """The worst and the best that a value may be, more being better."""
    return (value.low, value.high) if better == "more" else (-value.high, -value.low)
