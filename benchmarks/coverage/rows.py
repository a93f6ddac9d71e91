"""A row in child processes: a crash or a hang is a failed cell, never a lost table.

    python -m benchmarks.coverage.rows ROW RECORD.json COLUMN...

is the child. It writes the record after every cell, and the name of the cell that it is at beside
it; when it dies there, that cell is told as failed, and another child goes on with the next one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.coverage.records import Cell, Record, read, write
from benchmarks.coverage.zoo import ROWS

ROW_SECONDS = 3600
MEMORY_BYTES = 16 * 2**30
"""Of the heap, not of the address space: results of runs are mapped from files many times over."""


def run_row(
    name: str,
    columns: Sequence[str],
    path: Path,
    *,
    anew: bool = False,
    seconds: float = ROW_SECONDS,
) -> Record:
    """Compute the columns that the record at `path` lacks; returns it with all of them.

    anew: forget what the record says of these columns.
    seconds: what one child may take.
    """
    if anew and (known := read(path)):
        kept = {column: cell for column, cell in known.cells.items() if column not in columns}
        write(path, replace(known, cells=kept))
    at_work = path.with_suffix(".at-work")
    path.parent.mkdir(parents=True, exist_ok=True)
    while missing := _missing(read(path), columns):
        at_work.write_text(missing[0], encoding="utf-8")
        command = [sys.executable, "-m", "benchmarks.coverage.rows", name, str(path), *missing]
        ended = _ended(command, path.with_suffix(".log"), seconds)
        still_missing = _missing(read(path), columns)
        if still_missing:
            column = at_work.read_text(encoding="utf-8")
            found = read(path) or Record(name, 0, {})
            cell = Cell("failed", {}, f"the process {ended}")
            write(path, replace(found, cells={**found.cells, column: cell}))
    at_work.unlink(missing_ok=True)
    record = read(path)
    if record is None:
        raise SystemExit(f"Nothing was computed for {name}: {', '.join(columns) or 'no column'}.")
    return record


def _missing(record: Record | None, columns: Sequence[str]) -> list[str]:
    return [column for column in columns if record is None or column not in record.cells]


def _ended(command: list[str], log: Path, seconds: float) -> str:
    """How a child ended, in words; what it printed is in the log."""
    environment = {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment |= {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"}
    with log.open("a", encoding="utf-8") as printed:
        try:
            done = subprocess.run(
                command,
                env={**os.environ, **environment},
                stdout=printed,
                stderr=subprocess.STDOUT,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            return f"was not done after {seconds:.0f} s"
    return (
        f"died with signal {-done.returncode}"
        if done.returncode < 0
        else f"ended with {done.returncode}"
    )


def _limit_memory() -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))


def main() -> None:
    """Compute columns of one row, one after the other."""
    name, place, *columns = sys.argv[1:]
    _limit_memory()
    from benchmarks.coverage.cells import Bench, computed

    path, bench = Path(place), Bench(ROWS[name])
    for column in columns:
        path.with_suffix(".at-work").write_text(column, encoding="utf-8")
        began = time.perf_counter()
        cell = computed(bench, column)
        found = read(path) or Record(name, 0, {})
        cells = {**found.cells, column: cell}
        write(path, replace(found, parameters=bench.task.model.count_params(), cells=cells))
        print(f"{column}: {cell.status}, {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
