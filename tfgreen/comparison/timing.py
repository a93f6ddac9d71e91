"""Times of all widths, measured by turns, and what they say beside float32's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tfgreen.benchmarking.files import TimedFile
from tfgreen.benchmarking.latency import Effort, benchmark_files
from tfgreen.benchmarking.record import Benchmark
from tfgreen.comparison.record import FLOAT, Comparison, Width, WidthRow
from tfgreen.pipeline import OnProgress

NOTES = (
    "Files are dense: `tfgreen export` may store pruned and clustered models smaller.",
    "Energy, as a multiple of float32's, is modelled: the ratio of CPU-seconds a run. The watts of "
    "the processor cancel; memory traffic and other chips are not in it.",
    "The arena is TensorFlow Lite Micro's on a 64-bit host; a 32-bit target's is somewhat smaller.",
)


def timed_again(
    comparison: Comparison, folder: str | Path, effort: Effort | None = None
) -> Comparison:
    """The comparison with times measured anew, from the files that `compare(keep=)` wrote."""
    files = {
        row.width: (Path(folder) / f"{row.width}.tflite").read_bytes()
        for row in comparison.rows
        if row.status != "failed"
    }
    timed = timed_files(files, effort, lambda step, done, of: None)
    rows = tuple(with_times(row, timed) for row in comparison.rows)
    host = timed.host if timed else None
    return comparison.model_copy(update={"rows": rows, "host": host, "notes": notes_of(timed)})


def timed_files(
    files: Mapping[Width, bytes], effort: Effort | None, tell: OnProgress
) -> Benchmark | None:
    """All files by turns, float32 the baseline; None where LiteRT could time none of them."""
    named = [TimedFile(width, content) for width, content in files.items()]
    found = benchmark_files(named, effort=effort, on_progress=tell)
    return found if any(row.status == "ok" for row in found.rows) else None


def with_times(row: WidthRow, timed: Benchmark | None) -> WidthRow:
    """A row with its time, its noise, and its ratios to float32; as it is where it has no time."""
    mine = {one.file: one for one in timed.rows}.get(row.width) if timed else None
    if timed is None or mine is None or mine.cpu_seconds is None:
        return row
    ratios = {one.file: one.ratio for one in timed.comparisons}
    of_float = timed.row(FLOAT).cpu_seconds
    return row.model_copy(
        update={
            "latency": mine.latency,
            "noise": mine.noise,
            "speed": ratios.get(row.width),
            "energy_ratio": mine.cpu_seconds / of_float if of_float else None,
        }
    )


def notes_of(timed: Benchmark | None) -> tuple[str, ...]:
    """What to know about the figures, and whether the machine was busy."""
    busy = () if timed is None else (note for note in timed.notes if "busy" in note)
    return (*NOTES, *busy)
