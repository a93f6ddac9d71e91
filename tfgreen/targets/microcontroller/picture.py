"""The arena's head as a picture: when each tensor lives, and where.

Written as SVG by hand: it needs no package, and the same file gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from tfgreen.flatbuffer import TfliteModel
from tfgreen.targets.layer_names import layer_of
from tfgreen.targets.microcontroller.lifetimes import Peak, buffer_name, told
from tfgreen.targets.microcontroller.planner import Buffer, Plan

_LEFT, _TOP, _BOTTOM, _RIGHT = 90, 64, 150, 24
_PLOT_HEIGHT, _LEAST_STEP_WIDTH, _LEAST_WIDTH = 420, 22, 640
_TICKS = 4
_COLOURS = ("#4e79a7", "#59a14f", "#9c755f", "#76b7b2", "#edc948", "#b07aa1")
_PEAK, _SCRATCH, _INK = "#e15759", "#bab0ac", "#222222"
_LABEL_HEIGHT, _LETTER_WIDTH, _LONGEST_NAME = 12, 6.2, 22


def draw_arena(model: TfliteModel, plan: Plan, peak: Peak) -> bytes:
    """An SVG: ops from left to right, bytes of the head from bottom to top, tensors as boxes."""
    return _Picture(model, plan, peak).svg().encode()


class _Picture:
    def __init__(self, model: TfliteModel, plan: Plan, peak: Peak) -> None:
        self._model, self._plan, self._peak = model, plan, peak
        self._steps = len(model.ops) + 1
        self._step_width = max(_LEAST_STEP_WIDTH, _LEAST_WIDTH // self._steps)
        self._width = _LEFT + self._steps * self._step_width + _RIGHT
        self._height = _TOP + _PLOT_HEIGHT + _BOTTOM

    def svg(self) -> str:
        parts = [*self._heading(), *self._boxes(), *self._axes(), *self._ops(), "</svg>"]
        return "\n".join(parts) + "\n"

    def _heading(self) -> Iterator[str]:
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self._width}" '
            f'height="{self._height}" viewBox="0 0 {self._width} {self._height}" '
            'font-family="sans-serif" font-size="11">'
        )
        yield f"<title>{escape(told(self._model, self._plan, self._peak))}</title>"
        yield f'<rect width="{self._width}" height="{self._height}" fill="white"/>'
        head = f"Head of the tensor arena: {self._plan.head_bytes:,} bytes"
        yield _text(_LEFT, 22, head, size=15)
        owner = layer_of(self._model, self._peak.op) or self._peak.op.name
        red = f"red: alive while '{owner}' runs, which needs the most"
        yield _text(_LEFT, 42, f"{self._peak.used_bytes:,} bytes in {red}")

    def _boxes(self) -> Iterator[str]:
        at_peak = set(self._peak.buffers)
        for number, buffer in enumerate(self._plan.buffers):
            if buffer.first_used < 0:
                continue
            left, right = self._x(buffer.first_used), self._x(buffer.last_used + 1)
            top, bottom = self._y(buffer.end_bytes), self._y(buffer.offset_bytes)
            colour = _SCRATCH if buffer.tensor is None else _COLOURS[number % len(_COLOURS)]
            colour = _PEAK if buffer in at_peak else colour
            name = f"{buffer_name(self._model, buffer)}: {buffer.size_bytes:,} bytes"
            yield (
                f'<rect x="{left}" y="{top:.1f}" width="{right - left}" '
                f'height="{bottom - top:.1f}" fill="{colour}" fill-opacity="0.75" '
                f'stroke="white"><title>{escape(name)}</title></rect>'
            )
            yield from self._label(buffer, left, right, top, bottom)

    def _label(
        self, buffer: Buffer, left: float, right: float, top: float, bottom: float
    ) -> Iterator[str]:
        size = f"{buffer.size_bytes:,}"
        if bottom - top >= _LABEL_HEIGHT and right - left >= len(size) * _LETTER_WIDTH:
            yield _text((left + right) / 2, (top + bottom) / 2 + 4, size, anchor="middle")

    def _axes(self) -> Iterator[str]:
        for tick in range(_TICKS + 1):
            size = self._plan.head_bytes * tick // _TICKS
            y = self._y(size)
            yield f'<path d="M{_LEFT} {y:.1f}H{self._width - _RIGHT}" stroke="#dddddd"/>'
            yield _text(_LEFT - 8, y + 4, f"{size:,}", anchor="end")

    def _ops(self) -> Iterator[str]:
        names = ["input", *(layer_of(self._model, op) or op.name for op in self._model.ops)]
        for step, name in enumerate(names):
            x, y = self._x(step) + self._step_width / 2 + 4, self._y(0) + 10
            weight = step - 1 == self._peak.op.index
            yield _text(x, y, _cut(name), anchor="end", turned=True, bold=weight)

    def _x(self, step: int) -> int:
        return _LEFT + step * self._step_width

    def _y(self, size_bytes: int) -> float:
        return _TOP + _PLOT_HEIGHT * (1 - size_bytes / max(1, self._plan.head_bytes))


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else "…" + name[1 - _LONGEST_NAME :]


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 11,
    anchor: str = "start",
    turned: bool = False,
    bold: bool = False,
) -> str:
    turn = f' transform="rotate(-60 {x:.1f} {y:.1f})"' if turned else ""
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
        f'fill="{_INK}"{weight}{turn}>{escape(text)}</text>'
    )
