"""The page on microcontrollers says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import tiny_models

PAGE = Path(__file__).parents[3] / "docs" / "microcontrollers.md"


def test_the_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.tflite").write_bytes(tiny_models.int8_classifier())
    text = PAGE.read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?plan_arena.*?)^```", text, re.M | re.S)
    exec(compile(example, str(PAGE), "exec"), {})
    head, told = capsys.readouterr().out.splitlines()
    assert head == "32" and "needs the most: 32 bytes" in told


def test_the_table_of_arenas_adds_up() -> None:
    rows = re.findall(r"^\|[^|]+" + r"\| ([\d,]+) " * 5 + r"\|$", PAGE.read_text("utf-8"), re.M)
    assert len(rows) == 4
    for row in rows:
        total, head, tail, to_load, planned = (int(cell.replace(",", "")) for cell in row)
        assert total == head + tail <= to_load and head == planned
