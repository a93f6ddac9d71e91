"""The plot of robustness: scores over the severity."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tfgreen.drawing import new_figure, save_figure
from tfgreen.verification.robustness.record import Robustness, Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCHES = (10, 4.5)
_STRONGEST_ATTACK = "pgd"


def draw(record: Robustness, path: Path) -> Path:
    """Write the plot; the suffix tells the format. Returns the path.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    figure = new_figure("robustness", _INCHES)
    left, right = figure.subplots(1, 2, sharey=True)
    draw_panel(left, record)
    draw_panel(right, record, _STRONGEST_ATTACK)
    left.legend(fontsize="small")
    right.set_ylabel("")
    return save_figure(figure, path)


def draw_panel(axes: Axes, record: Robustness, condition: str = "") -> None:
    """Scores with their intervals over the severity: of one condition, or the corruptions' mean."""
    factor = 1 if record.score_kind == "mean-absolute-error" else 100
    for row in record.rows:
        found: list[Score] = [
            score for score in (*row.means, *row.scores) if score.condition == condition
        ]
        if row.clean is None or not found:
            continue
        found = [row.clean, *found]
        values = [factor * score.score.value for score in found]
        ends = [
            [factor * (score.score.value - score.score.low) for score in found],
            [factor * (score.score.high - score.score.value) for score in found],
        ]
        places = [score.severity for score in found]
        axes.errorbar(places, values, ends, marker="o", capsize=3, label=row.name)
    axes.set_title(condition or "mean of corruptions", fontsize="medium")
    axes.set_xlabel("severity (0: as they are)")
    axes.set_ylabel(f"{record.score_kind}{', %' if factor == 100 else ''}")
