"""Plain tables for reports: readable on a terminal, and Markdown as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table with aligned columns.

    Args:
        columns: names; a leading `>` aligns the column to the right.
        rows: one cell per column. Floats are shown with four significant digits, None as a dash.

    >>> print(markdown_table(["layer", ">sparsity"], [["dense", 0.5], ["head", None]]))
    | layer | sparsity |
    |-------|---------:|
    | dense |      0.5 |
    | head  |        - |
    """
    names = [column.lstrip(">") for column in columns]
    texts = [[_text(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *texts, strict=True)]
    right = [column.startswith(">") for column in columns]
    rule = "|".join(
        "-" * (width + 1) + (":" if to_right else "-")
        for width, to_right in zip(widths, right, strict=True)
    )
    return "\n".join(
        [_line(names, widths, right), f"|{rule}|"] + [_line(t, widths, right) for t in texts]
    )


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (
        cell.rjust(width) if to_right else cell.ljust(width)
        for cell, width, to_right in zip(cells, widths, right, strict=True)
    )
    return f"| {' | '.join(padded)} |"


def _text(value: object) -> str:
    if value is None:
        return "-"
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("\n", " ").replace("|", "\\|")
