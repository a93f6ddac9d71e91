"""The coverage table is what comes out: rows are computed again and compared with the committed.

`make test` does the light rows, export once; `make test-all` does all of them, in child processes.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.coverage.cells import Bench, computed
from benchmarks.coverage.page import PAGE, page
from benchmarks.coverage.records import COLUMNS, Cell, Record, committed, read, write
from benchmarks.coverage.rows import run_row
from benchmarks.coverage.zoo import ROWS

IN_ONE_PROCESS = ("bridge", "prune-at-once", "prune", "cluster", "qat", "tfmot")
LIGHT = [name for name, row in ROWS.items() if row.is_light]
EXPORTED = "conv1d"
KNOWN = committed()

DECIBELS = 3.0
"""Other processors round sums elsewhere, and a few steps of training enlarge that."""


def without_numbers(message: str) -> str:
    """Layer names keep theirs."""
    return re.sub(r"(?<![\w'.])\d[\d.,]*(e[+-]?\d+)?%?", "#", message)


def assert_as_committed(name: str, column: str, cell: Cell) -> None:
    expected = KNOWN[name].cells[column]
    assert (cell.status, without_numbers(cell.message)) == (
        expected.status,
        without_numbers(expected.message),
    ), f"{name}, {column}"
    assert set(cell.figures) == set(expected.figures)
    for figure, value in cell.figures.items():
        told = expected.figures[figure]
        assert differs_little(figure, value, told), (
            f"{name}, {column}: {figure} {value}, not {told}"
        )


def differs_little(figure: str, value: float, told: float) -> bool:
    if figure == "difference":
        return True  # `computed` holds it against its limit
    if figure.endswith("_db"):
        return abs(value - told) <= DECIBELS or min(value, told) > 60
    if figure == "max_quanta":
        return value <= 2 * told + 3
    if figure == "differing_share":
        return value <= 2 * told + 0.02
    return abs(value - told) < 0.01


@pytest.mark.parametrize("name", LIGHT)
def test_light_rows(name: str) -> None:
    bench = Bench(ROWS[name])
    columns = COLUMNS if name == EXPORTED else IN_ONE_PROCESS
    for column in columns:
        assert_as_committed(name, column, computed(bench, column))


@pytest.mark.slow
@pytest.mark.parametrize("name", KNOWN)
def test_every_row(name: str, tmp_path: Path) -> None:
    columns = list(KNOWN[name].cells)
    record = run_row(name, columns, tmp_path / "record.json")
    assert record.parameters == KNOWN[name].parameters
    for column in columns:
        assert_as_committed(name, column, record.cells[column])


def test_the_page_is_what_the_records_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(KNOWN)
    assert set(KNOWN) <= set(ROWS)
    assert all(set(record.cells) <= set(COLUMNS) for record in KNOWN.values())


def test_a_refusal_names_a_layer_and_a_way_out() -> None:
    for name, record in KNOWN.items():
        for column, cell in record.cells.items():
            if cell.status == "refused":
                what, _, way_out = cell.message.partition(". ")
                assert re.search(r"'[^']+'", what) and way_out, f"{name}, {column}: {cell.message}"


def test_no_cell_failed_and_none_is_missing() -> None:
    assert set(KNOWN) == set(ROWS)
    for name, record in KNOWN.items():
        assert set(record.cells) == set(COLUMNS), name
        failed = [column for column, cell in record.cells.items() if cell.status == "failed"]
        assert not failed, f"{name}: {', '.join(failed)}"


def test_plain_tfmot_takes_none_of_them() -> None:
    cells = [r.cells["tfmot"] for r in KNOWN.values() if "tfmot" in r.cells]
    assert all(cell.status == "works" and not any(cell.figures.values()) for cell in cells)


def test_a_cell_that_is_not_done_in_time_is_told(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    done = Cell("works", {"difference": 0.0})
    write(path, Record("shared", 650, {"bridge": done}))
    record = run_row("shared", ["bridge", "tfmot"], path, seconds=0.05)
    assert record.cells["bridge"] == done
    assert record.cells["tfmot"] == Cell("failed", {}, "the process was not done after 0 s")
    assert read(path) == record


def test_the_page_tells_a_failure_in_its_own_words() -> None:
    works = {column: KNOWN["shared"].cells[column] for column in COLUMNS}
    refusal = Cell("refused", {}, "UnsupportedModelError: Layer 'x' is odd. Leave it out.")
    record = Record("shared", 650, {**works, "qat": refusal, "export": Cell("failed", {}, "died")})
    text = page({"shared": record})
    assert "| refused | **fails** |" in text
    assert "- Shared layers, QAT: UnsupportedModelError: Layer 'x' is odd. Leave it out." in text
    assert "- Shared layers, int8: died" in text
    assert "| DS-CNN (MLPerf Tiny) | 49 × 10 |  | ? |" in text
    assert f"| QAT | 0 | 1 | 0 | {len(ROWS) - 1} |" in text
