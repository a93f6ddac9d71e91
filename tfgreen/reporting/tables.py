"""Pieces of text for terminals, in rich: cells that show any name as it is, plain tables."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Literal

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tfgreen.reporting.wording import printable

_LEAST_WIDTH = 12

COLOURS = {
    "passed": "green",
    "ok": "green",
    "failed": "bold red",
    "warning": "yellow",
    "skipped": "dim",
}


def cell(value: object, style: str = "") -> Text:
    """A value as it is: no markup, no control characters."""
    return Text(printable(value), style=style)


def status(value: str) -> Text:
    """A status in its colour."""
    return cell(value, COLOURS.get(value, "yellow"))


def bullet(text: object, style: str = "") -> RenderableType:
    """A sentence that wraps below itself."""
    grid = Table.grid(padding=(0, 1))
    grid.add_row(Text(" -", style=style), cell(text))
    return grid


def facts(pairs: Iterable[tuple[str, object]]) -> RenderableType:
    """Two columns without lines: what, and its value."""
    grid = Table.grid(padding=(0, 2))
    for name, value in pairs:
        grid.add_row(cell(name, "dim"), value if isinstance(value, Text) else cell(value))
    return Padding(grid, (0, 0, 0, 1), expand=False)


def heading(title: str, note: str = "") -> RenderableType:
    """A title below an empty line."""
    return Text.assemble("\n", (title, "bold"), (f"  {note}" if note else "", "dim"))


def table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], note: str = ""
) -> RenderableType:
    """A titled table.

    Args:
        columns: names; a leading `>` aligns to the right, `=` keeps values on one line, and `~`
            cuts them short where there is too little room. Others wrap.
    """
    made = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        header_style="dim",
        padding=(0, 1, 0, 0),
    )
    for column in columns:
        right, fixed = column[0] == ">", column[0] in ">="
        name = column.lstrip(">=~ ")
        justify: Literal["left", "right"] = "right" if right else "left"
        least = _LEAST_WIDTH if column[0] == "~" else None
        made.add_column(name, justify=justify, overflow="fold", no_wrap=fixed, min_width=least)
    for row in rows:
        cells = [value if isinstance(value, Text) else cell(value) for value in row]
        for column, text in zip(columns, cells, strict=False):
            if column[0] == "~":  # a column that never wrapped would not give way to others
                text.no_wrap, text.overflow = True, "ellipsis"
        made.add_row(*cells)
    return Group(heading(title, note), Padding(made, (0, 0, 0, 1), expand=False))


def to_text(renderable: RenderableType, width: int = 100) -> str:
    """The same without colours, as a string ended by a newline."""
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(renderable)
    return stream.getvalue()
