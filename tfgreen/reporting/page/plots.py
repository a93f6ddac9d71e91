"""What is drawn: geometry in percent of a plot's width and height, so that it fits any screen.

The templates turn it into inline SVG that is stretched, with labels of HTML over it that are not:
letters have the same size on a phone and on paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tfgreen.reporting.page.record import BundleReport

_STEP_DB = 10
_MOST_TICKS = 6


@dataclass(frozen=True)
class Tick:
    """A label of an axis at `percent` of its length, from the left or from the top."""

    percent: float
    text: str


@dataclass(frozen=True)
class Line:
    """One curve. `points`: for SVG's `points`, each piece without gaps; `dots`: (x, y, text)."""

    name: str
    pieces: tuple[str, ...]
    dots: tuple[tuple[float, float, str], ...] = ()


@dataclass(frozen=True)
class Plot:
    """Curves over one pair of axes. `marks`: (x, y, text) of what has to be seen."""

    title: str
    lines: tuple[Line, ...]
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]
    marks: tuple[tuple[float, float, str], ...] = ()
    limit_percent: float | None = None


def sqnr_plot(report: BundleReport) -> Plot | None:
    """SQNR of every layer against its ideal, the first culprit marked; None without layers."""
    layers = [layer for layer in report.layers if layer.sqnr_db is not None]
    if not layers:
        return None
    told = [one.sqnr_db for one in layers if one.sqnr_db is not None]
    ideals = [one.ideal_sqnr_db for one in layers if one.ideal_sqnr_db is not None]
    low = min(0.0, math.floor(min(told) / _STEP_DB) * _STEP_DB)
    high = max(_STEP_DB, math.ceil(max(told + ideals) / _STEP_DB) * _STEP_DB)
    axis = _Axis(low, high)
    places = [_middle(number, len(layers)) for number in range(len(layers))]
    texts = [f"{one.index} {one.op} {one.name}: {one.sqnr_db:.1f} dB" for one in layers]
    limit = next((one.limit for one in report.figures if one.key == "sqnr"), None)
    marked = report.culprit
    return Plot(
        title="SQNR of each layer, in order",
        lines=(
            _line("ideal", places, [one.ideal_sqnr_db for one in layers], axis),
            _line("in this file", places, [one.sqnr_db for one in layers], axis, texts),
        ),
        rows=axis.ticks("dB"),
        columns=_numbered([one.index for one in layers], places),
        marks=tuple(
            (place, axis.percent(one.sqnr_db or 0.0), one.name)
            for place, one in zip(places, layers, strict=True)
            if marked is not None and one.index == marked.index
        ),
        limit_percent=None if limit is None or not low <= limit <= high else axis.percent(limit),
    )


def curve_plot(title: str, curves: dict[str, Sequence[float | None]]) -> Plot | None:
    """Curves of a training over its epochs; None where none has a number."""
    numbers = [value for values in curves.values() for value in values if value is not None]
    if not numbers:
        return None
    low, high = min(numbers), max(numbers)
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    axis = _Axis(low - room, high + room)
    epochs = max(map(len, curves.values()))
    places = [_middle(number, epochs) for number in range(epochs)]
    return Plot(
        title=title,
        lines=tuple(
            _line(
                name,
                places[: len(values)],
                values,
                axis,
                [f"{name}, epoch {number + 1}: {value}" for number, value in enumerate(values)],
            )
            for name, values in curves.items()
        ),
        rows=(
            Tick(axis.percent(high), f"{high:.3g}"),
            *((Tick(axis.percent(low), f"{low:.3g}"),) if high > low else ()),
        ),
        columns=_numbered(list(range(1, epochs + 1)), places),
    )


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float

    def percent(self, value: float) -> float:
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return round(100 * (1 - min(max(share, 0.0), 1.0)), 2)

    def ticks(self, unit: str) -> tuple[Tick, ...]:
        count = round((self.high - self.low) / _STEP_DB)
        stride = max(1, math.ceil(count / _MOST_TICKS))
        values = [self.low + _STEP_DB * step for step in range(0, count + 1, stride)]
        return tuple(Tick(self.percent(value), f"{value:.0f} {unit}") for value in values)


def _middle(number: int, count: int) -> float:
    return round(100 * (number + 0.5) / count, 2)


def _numbered(numbers: Sequence[int], places: Sequence[float]) -> tuple[Tick, ...]:
    stride = max(1, math.ceil(len(numbers) / (2 * _MOST_TICKS)))
    pairs = list(zip(numbers, places, strict=True))[::stride]
    return tuple(Tick(place, str(number)) for number, place in pairs)


def _line(
    name: str,
    places: Sequence[float],
    values: Sequence[float | None],
    axis: _Axis,
    texts: Sequence[str] = (),
) -> Line:
    pieces: list[list[str]] = [[]]
    dots = []
    for number, (place, value) in enumerate(zip(places, values, strict=True)):
        if value is None:
            pieces.append([])
            continue
        pieces[-1].append(f"{place},{axis.percent(value)}")
        if texts:
            dots.append((place, axis.percent(value), texts[number]))
    return Line(name, tuple(" ".join(piece) for piece in pieces if piece), tuple(dots))
