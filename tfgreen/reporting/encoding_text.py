"""How a file's weights are stored, and what else was tried: bytes and gzip bytes side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from tfgreen.reporting.tables import table
from tfgreen.wording import ABSENT

_NOT_FASTER = "none of them makes a kernel faster"

Facts = Mapping[str, Any]
"""`Bundle.facts["encoding"]`."""


def render_encodings(facts: Facts) -> RenderableType:
    """A table for a terminal: one line for each way to store the file."""
    columns = ("encoding", ">bytes", ">gzip", ">arena", "bit-exact on", "shipped")
    return table("Encodings", columns, [_row(file) for file in facts["files"]], _NOT_FASTER)


def encodings_summary(facts: Facts) -> Iterator[str]:
    """Plain lines, for notebooks and logs; none for weights that nobody pruned or clustered."""
    if not facts["is_told"]:
        return
    for file in facts["files"]:
        told = f"{_count(file['size_bytes'])} bytes, {_count(file['gzip_bytes'])} with gzip"
        shipped = "shipped" if file["chosen"] else "not shipped"
        reason = f": {file['reason']}" if file["reason"] else ""
        size = told if file["size_bytes"] is not None else "no file"
        yield f"{file['encoding']}: {size}; {shipped}{reason}"
    yield f"Encodings make files smaller; {_NOT_FASTER}."


def _row(file: Mapping[str, Any]) -> Sequence[object]:
    return (
        f"{file['encoding']}{_methods(file['methods'])}",
        _count(file["size_bytes"]),
        _count(file["gzip_bytes"]),
        _count(file["arena_bytes"]),
        _exact(file["bit_exact"]),
        f"{'yes' if file['chosen'] else 'no'}{': ' if file['reason'] else ''}{file['reason']}",
    )


def _methods(methods: Mapping[str, int]) -> str:
    told = ", ".join(f"{count} {name}" for name, count in methods.items())
    return f" ({told})" if told else ""


def _exact(kernel_sets: Mapping[str, bool | None]) -> str:
    words = {True: "", False: ": differs", None: ": cannot unpack it"}
    return ", ".join(f"{name}{words[same]}" for name, same in kernel_sets.items()) or ABSENT


def _count(size_bytes: int | None) -> str:
    return ABSENT if size_bytes is None else f"{size_bytes:,}"
