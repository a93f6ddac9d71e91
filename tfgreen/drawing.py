"""Plots with matplotlib, which is optional: a figure without a window, and a file in one step."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from tfgreen.errors import MissingDependencyError, OutputError
from tfgreen.writing import write_files

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(subject: str, inches: tuple[float, float]) -> Figure:
    """An empty figure. Raises MissingDependencyError where matplotlib is not installed.

    subject: what is drawn, for the message: "a comparison".
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            f"Drawing {subject} needs matplotlib, which is not installed. Install it: "
            "pip install tfgreen[report]"
        ) from error
    figure = Figure(figsize=inches, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> Path:
    """Write the figure in place of what is there; the suffix tells the format. Returns the path.

    Raises OutputError where no plot can have that suffix, or the disk refuses.
    """
    drawn = io.BytesIO()
    try:
        figure.savefig(drawn, format=path.suffix.removeprefix(".") or "png")
    except ValueError as error:
        raise OutputError(f"The plot cannot be written to {path}: {error}.") from error
    write_files({path: drawn.getvalue()}, force=True)
    return path
