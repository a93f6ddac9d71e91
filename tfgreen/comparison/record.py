"""`Comparison`: one model in several widths, a row each."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from tfgreen.benchmarking.record import Host
from tfgreen.benchmarking.timings import Noise, Ratio, Spread
from tfgreen.intervals import Estimate
from tfgreen.records import Document, Record, row_named
from tfgreen.verification.robustness.record import Robustness
from tfgreen.verification.scoring import ScoreKind

Width = Literal["float32", "float16", "dynamic-int8", "int8", "int16x8", "int4"]
RowStatus = Literal["passed", "gate-failed", "failed"]
RuntimeStatus = Literal["right", "wrong", "not-judged", "does-not-run", "missing"]

FLOAT: Width = "float32"
"""What all other widths are held against."""


class RuntimeVerdict(Record):
    """Whether a kernel set loads a file and computes it rightly.

    status: "right": every op that was compared and the whole file are within the limits;
    "wrong"; "not-judged": it runs the file, and the truth does not, so that nothing tells whether
    it is right; "does-not-run": it refused the file or died; "missing": not installed here.
    """

    kernel_set: str
    status: RuntimeStatus
    message: str = ""


class WidthRow(Record):
    """One width.

    Attributes:
        profile: The export profile that made the file; "" for float32.
        status: "passed"; "gate-failed": there is a file, and `message` says what may not be
            shipped; "failed": there is no file, and why.
        file_bytes, gzip_bytes: Of the file, plain and by gzip -9.
        score_samples: Evenly spaced; fewer than the comparison's where the truth is slow.
        score: Accuracy (Wilson's interval), mean absolute error (bootstrap) or agreement with
            the float32 file, on the kernel set `truth`. None where there is none.
        difference: The score minus float32's on the same samples (paired bootstrap).
        sqnr_db: At the last tensor before a softmax; None without any error or any figure.
        is_exact: Whether there was no error at all.
        latency, noise: On XNNPACK, one thread. speed: The time over float32's, round by round.
        energy_ratio: CPU-seconds of a run over float32's: modelled, since the watts cancel.
        arena_bytes: Tensor arena in use in TFLM on a 64-bit host; None where it does not load.
        runtimes: Every kernel set.
    """

    width: Width
    profile: str = ""
    status: RowStatus = "passed"
    message: str = ""
    truth: str = ""
    file_bytes: int | None = None
    gzip_bytes: int | None = None
    score_samples: int = 0
    score: Estimate | None = None
    difference: Estimate | None = None
    sqnr_db: float | None = None
    is_exact: bool = False
    latency: Spread | None = None
    noise: Noise | None = None
    speed: Ratio | None = None
    energy_ratio: float | None = None
    arena_bytes: int | None = None
    runtimes: tuple[RuntimeVerdict, ...] = ()

    def on(self, status: RuntimeStatus) -> tuple[str, ...]:
        """The kernel sets of one status."""
        return tuple(one.kernel_set for one in self.runtimes if one.status == status)


class Comparison(Document):
    """One model in several widths.

    Attributes:
        model: What was compared, for people.
        score_kind, score_samples, output: What the scores are, on how many samples, of which
            output; None, 0 and "" where nothing could be scored.
        rows: float32 first.
        host: The machine of the times; None where nothing could be timed.
        notes: What the figures do not say, or cannot.
        robustness: Every width as the data get worse; None unless asked for, and in records of
            schema version 1.
    """

    title: ClassVar[str] = "record of `tfgreen compare`"
    remedy: ClassVar[str] = "Run it again with --json."

    schema_version: Literal[1, 2] = 2
    model: str
    score_kind: ScoreKind | None = None
    score_samples: int = 0
    output: str = ""
    rows: tuple[WidthRow, ...]
    host: Host | None = None
    notes: tuple[str, ...] = ()
    robustness: Robustness | None = None

    def row(self, width: str) -> WidthRow:
        """The row of a width. Raises InvalidDataError where there is none."""
        return row_named({row.width: row for row in self.rows}, width, "width")

    def text(self) -> str:
        """The table and what belongs to it, 160 columns wide."""
        from tfgreen.comparison.text import comparison_text

        return comparison_text(self)

    def to_markdown(self) -> str:
        """The table alone, for a README."""
        from tfgreen.comparison.text import comparison_markdown

        return comparison_markdown(self)

    def __str__(self) -> str:
        return self.text()

    def plot(self, path: str | Path) -> Path:
        """Draw score over bytes, the time of a run, and score over severity (PNG, SVG or PDF).

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        from tfgreen.comparison.figure import draw

        return draw(self, Path(path))
