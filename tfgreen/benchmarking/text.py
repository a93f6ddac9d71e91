"""A benchmark as plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tfgreen.benchmarking.record import Benchmark, Row
from tfgreen.wording import share_text

_NONE = "–"
_KIBIBYTE = 1024
HEADER = (
    "file",
    "width",
    "kernels",
    "threads",
    "median",
    "minimum",
    "IQR",
    "CPU a run",
    "load",
    "memory",
    "noise",
)


def benchmark_text(benchmark: Benchmark, notes: bool = True) -> str:
    """The table, the comparisons, and how far to trust them."""
    host = benchmark.host
    lines = [
        f"On {host.name}: {host.processor}, {host.cpus} processors, {host.system}, "
        f"ai-edge-litert {host.litert}",
        "",
        *_columns([HEADER, *(_cells(row) for row in benchmark.rows if row.status == "ok")]),
    ]
    for row in benchmark.rows:
        if row.status != "ok":
            lines.append(
                f"{row.file} did not run on {row.kernel_set} with {row.threads} "
                f"thread{'s' if row.threads > 1 else ''} ({row.status}): {row.message}"
            )
    lines += ["", *(one.message for one in benchmark.comparisons)]
    if notes:
        lines += [*_warnings(benchmark), *benchmark.notes]
    return "\n".join(lines) + "\n"


def seconds_text(seconds: float | None) -> str:
    """A time with a unit that fits.

    >>> seconds_text(0.0000123), seconds_text(0.00456), seconds_text(1.5), seconds_text(None)
    ('12.3 us', '4.56 ms', '1.50 s', '–')
    """
    if seconds is None:
        return _NONE
    for factor, unit in ((1e6, "us"), (1e3, "ms")):
        if seconds * factor < 1000:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.2f} s"


def _cells(row: Row) -> tuple[str, ...]:
    latency, noise = row.latency, row.noise
    added = _NONE if row.added_bytes is None else f"{row.added_bytes // _KIBIBYTE:,} KB"
    return (
        row.file,
        row.width,
        row.kernel_set,
        str(row.threads),
        seconds_text(latency.median_seconds if latency else None),
        seconds_text(latency.minimum_seconds if latency else None),
        _share(noise.spread_share if noise else None),
        seconds_text(row.cpu_seconds),
        seconds_text(row.load_seconds),
        added,
        noise.verdict if noise else _NONE,
    )


def _share(share: float | None) -> str:
    return _NONE if share is None else share_text(share, 0)


def _warnings(benchmark: Benchmark) -> Iterator[str]:
    for row in benchmark.rows:
        if row.noise is not None and row.noise.verdict == "noisy":
            yield (
                f"Noisy: {row.file} on {row.kernel_set} with {row.threads} "
                f"thread{'s' if row.threads > 1 else ''} scatters by "
                f"{share_text(row.noise.spread_share, 0)} and drifts by "
                f"{share_text(row.noise.drift_share, 0)}: do not quote its times; the comparisons "
                "above hold, since files took turns."
            )


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Cells under each other; words to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < 3 or column == len(widths) - 1 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
