"""Pieces of text for terminals, in rich: cells that show any name as it is, plain tables."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tfgreen.reporting.wording import printable

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
    """A titled table; columns whose name begins with '>' are right-aligned."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim")
    for name in columns:
        right = name.startswith(">")
        made.add_column(name.lstrip("> "), justify="right" if right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(value if isinstance(value, Text) else cell(value) for value in row))
    return Group(heading(title, note), Padding(made, (0, 0, 0, 1), expand=False))


def to_text(renderable: RenderableType, width: int = 100) -> str:
    """The same without colours, as a string ended by a newline."""
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(renderable)
    return stream.getvalue()
