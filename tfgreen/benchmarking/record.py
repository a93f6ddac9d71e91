"""`Benchmark`: what was measured, row by row, with how far it can be trusted."""

from __future__ import annotations

from typing import ClassVar, Literal

from tfgreen.benchmarking.timings import Noise, Ratio, Spread
from tfgreen.errors import InvalidDataError
from tfgreen.records import Document, Record

Width = Literal["float32", "float16", "dynamic-int8", "int8", "int16x8", "int4", "mixed"]
RowStatus = Literal["ok", "failed", "crashed", "timed-out"]

PER_OP = (
    "Times op by op are not told: LiteRT's Python package reaches no profiler, and ops timed "
    "alone are not the ones that run fused in the whole file."
)


class Host(Record):
    """The machine that the figures belong to.

    load_before, load_after: processes that waited for a processor in the minute before and at
    the end (the benchmark is one of them then); None where the system does not tell.
    """

    name: str
    processor: str
    machine: str
    system: str
    cpus: int
    python: str
    litert: str
    load_before: float | None = None
    load_after: float | None = None


class Row(Record):
    """One file on one kernel set with one number of threads.

    Attributes:
        width: What its weights and activations are stored as.
        status, message: "ok", or why there are no figures.
        cpus: The processors that it was kept to; empty where that is not possible.
        latency: Wall seconds of one run. noise: How they scatter. None unless ok.
        cpu_seconds: Processor time of one run, all threads, also those that only wait; median.
        load_seconds: From opening the file to its tensors being allocated, in a fresh process;
            median. first_run_seconds: The run right after.
        added_bytes: Memory that loading and one run took beyond the idle process, at its peak,
            with one thread; process_bytes: all of that process. None where nobody tells.
    """

    file: str
    width: Width
    kernel_set: str
    threads: int
    status: RowStatus = "ok"
    message: str = ""
    cpus: tuple[int, ...] = ()
    latency: Spread | None = None
    noise: Noise | None = None
    cpu_seconds: float | None = None
    load_seconds: float | None = None
    first_run_seconds: float | None = None
    added_bytes: int | None = None
    process_bytes: int | None = None


class SpeedComparison(Record):
    """One file's time over the baseline's, on the same kernel set with as many threads.

    Attributes:
        ratio: Of wall seconds; `message` is about it.
        cpu_ratio: Of processor seconds, and so of energy where all are equally hot; None where
            the system's clock of them is too coarse.
    """

    file: str
    baseline: str
    kernel_set: str
    threads: int
    ratio: Ratio
    cpu_ratio: Ratio | None = None
    message: str


class Benchmark(Document):
    """Time and memory of one or more files on one machine.

    Attributes:
        host: The machine. rows: In the order of the files, kernel sets and threads.
        comparisons: Every other file against the baseline.
        notes: What the figures do not say, or cannot.
    """

    title: ClassVar[str] = "record of `tfgreen benchmark`"
    remedy: ClassVar[str] = "Run it again with --json."

    schema_version: Literal[1] = 1
    host: Host
    rows: tuple[Row, ...]
    comparisons: tuple[SpeedComparison, ...] = ()
    notes: tuple[str, ...] = ()

    def row(self, file: str, *, kernel_set: str = "xnnpack", threads: int = 1) -> Row:
        """The row of a file. Raises InvalidDataError where there is none."""
        for row in self.rows:
            if (row.file, row.kernel_set, row.threads) == (file, kernel_set, threads):
                return row
        names = ", ".join(dict.fromkeys(row.file for row in self.rows))
        raise InvalidDataError(
            f"Nothing was measured of '{file}' on {kernel_set} with {threads} threads. "
            f"The files are: {names}."
        )

    def text(self, *, notes: bool = True) -> str:
        """A table, what can be said about the differences, and (`notes`) what cannot."""
        from tfgreen.benchmarking.text import benchmark_text

        return benchmark_text(self, notes)

    def __str__(self) -> str:
        return self.text()
