"""Recompute the coverage table, row by row.

    python -m benchmarks.coverage                   # what is missing; nothing is written
    python -m benchmarks.coverage --write           # then write docs/coverage.md
    python -m benchmarks.coverage --anew lstm gru   # these rows once more

Finished cells are kept in benchmarks/.cache/coverage, so that a run that was stopped goes on where
it was; `--anew` forgets those of the rows it is given. Each row runs in a process of its own.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from benchmarks.coverage.page import PAGE, page
from benchmarks.coverage.records import COLUMNS, Record, commit, committed, path_of, read
from benchmarks.coverage.rows import run_row
from benchmarks.coverage.zoo import ROWS
from tfgreen.errors import UnknownNameError


def main() -> None:
    """Compute what is missing, tell it, and write the page if that was asked for."""
    parser = argparse.ArgumentParser(description="What works for which kind of network.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of: {', '.join(ROWS)}")
    parser.add_argument("--columns", nargs="+", choices=COLUMNS, default=list(COLUMNS))
    parser.add_argument("--anew", action="store_true", help="forget what is known of these cells")
    parser.add_argument("--write", action="store_true", help="write docs/coverage.md")
    given = parser.parse_args()
    for name in given.rows:
        if name not in ROWS:
            parser.error(str(UnknownNameError("row", name, ROWS)))
    for name in given.rows or ROWS:
        recompute(name, given.columns, anew=given.anew)
    if given.write:
        commit(records_of_all())
        PAGE.write_text(page(committed()), encoding="utf-8")


def recompute(name: str, columns: Sequence[str], *, anew: bool) -> None:
    """One row, told as it goes."""
    began = time.perf_counter()
    record = run_row(name, columns, path_of(name), anew=anew)
    seconds = time.perf_counter() - began
    print(f"{ROWS[name].title}: {record.parameters:,} parameters, {seconds:.0f} s", flush=True)
    for column in columns:
        cell = record.cells[column]
        figures = ", ".join(f"{key} {value:.4g}" for key, value in cell.figures.items())
        print(f"  {column:14} {cell.status:8} {figures or cell.message}", flush=True)


def records_of_all() -> list[Record]:
    """What was computed here, and for other rows and columns what is committed."""
    known = committed()
    found = []
    for name in ROWS:
        here, there = read(path_of(name)), known.get(name)
        if here is None and there is None:
            continue
        cells = {**(there.cells if there else {}), **(here.cells if here else {})}
        parameters = (here or there).parameters  # type: ignore[union-attr]
        found.append(Record(name, parameters, {c: cells[c] for c in COLUMNS if c in cells}))
    return found


if __name__ == "__main__":
    main()
