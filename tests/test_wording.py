"""Shares are told in one way: by `tfgreen.wording.share_text`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tfgreen.wording import share_text

PACKAGE = ROOT / "tfgreen"
OTHERWISE = {"generative"}
"""Rooms that tell changes of perplexity by themselves."""


def percent_formats(path: Path) -> list[int]:
    """Lines with an f-string that formats a number as a percentage."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FormattedValue)
        and node.format_spec is not None
        and ast.unparse(node.format_spec).rstrip("'\"").endswith("%")
    ]


def test_nothing_formats_shares_by_itself() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix(): percent_formats(path)
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] not in OTHERWISE
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("share", "told"),
    [(0.9663, "96.6 %"), (-0.0123, "-1.2 %"), (0.00004, "0.004 %"), (1.0, "100 %"), (0, "0 %")],
)
def test_shares(share: float, told: str) -> None:
    assert share_text(share) == told
