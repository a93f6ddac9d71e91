"""The plot of a comparison: score over bytes, the time of a run, score over severity."""

from __future__ import annotations

from pathlib import Path

from tfgreen.comparison.record import Comparison
from tfgreen.drawing import new_figure, save_figure
from tfgreen.verification.robustness.figure import draw_panel

_INCHES = (10, 4.5)


def draw(comparison: Comparison, path: Path) -> Path:
    """Write the plot; the suffix tells the format. Returns the path.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    panels = 2 if comparison.robustness is None else 3
    figure = new_figure("a comparison", (_INCHES[0] * panels / 2, _INCHES[1]))
    left, right, *further = figure.subplots(1, panels)
    if comparison.robustness is not None:
        draw_panel(further[0], comparison.robustness)
        further[0].legend(fontsize="small")
    factor = 1 if comparison.score_kind == "mean-absolute-error" else 100
    for row in comparison.rows:
        if row.score is not None and row.file_bytes is not None:
            size, value = row.file_bytes / 1024, factor * row.score.value
            ends = [[value - factor * row.score.low], [factor * row.score.high - value]]
            left.errorbar(size, value, ends, marker="o", capsize=3, label=row.width)
            left.legend(fontsize="small")
    left.set_xlabel("file, KB")
    left.set_ylabel(f"{comparison.score_kind or 'score'}{', %' if factor == 100 else ''}")
    timed = [(row.width, row.latency) for row in comparison.rows if row.latency is not None]
    medians = [1e6 * latency.median_seconds for _, latency in timed]
    lower = [1e6 * (one.median_seconds - one.lower_quartile_seconds) for _, one in timed]
    upper = [1e6 * (one.upper_quartile_seconds - one.median_seconds) for _, one in timed]
    if timed:
        names = [width for width, _ in timed]
        right.errorbar(medians, names, xerr=[lower, upper], fmt="o", capsize=3, color="tab:green")
        right.set_xscale("log")
        right.invert_yaxis()
    right.set_xlabel("time of a run, us (XNNPACK, one thread; quartiles)")
    figure.suptitle(f"{comparison.model} in {len(comparison.rows)} widths")
    return save_figure(figure, path)
