"""`report.html`: one page without scripts and without anything from elsewhere."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfgreen.errors import MissingDependencyError
from tfgreen.footprint.wording import seconds_text
from tfgreen.reporting.page.plots import Plot, curve_plot, sqnr_plot
from tfgreen.reporting.page.record import BundleReport
from tfgreen.reporting.page.side_by_side import rows_of
from tfgreen.reporting.page.tiles import tiles_of
from tfgreen.reporting.page.values import change_text, outcome_of, points_text, value_text
from tfgreen.reporting.wording import bits_text, bytes_text, decibel_text, printable, share_text

_TEMPLATES = Path(__file__).with_name("templates")


def can_render_html() -> bool:
    """Whether jinja2, which is optional, is installed."""
    return importlib.util.find_spec("jinja2") is not None


def render_html(reports: Sequence[BundleReport]) -> str:
    """The page of one bundle, or of several side by side.

    Every text that comes from a model, its data or its paths is escaped, and what could turn the
    direction of writing or steer anything else is replaced. The page forbids browsers to load or
    run anything.

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    template = _environment().get_template("page.html")
    return str(template.render(reports=list(reports)))


@functools.cache
def _environment() -> Any:
    try:
        import jinja2
    except ImportError as error:
        raise MissingDependencyError(
            "The report as a page needs jinja2, which is not installed. Install it: "
            "pip install tfgreen[report]"
        ) from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "bits": bits_text,
        "bytes": bytes_text,
        "change": change_text,
        "decibel": decibel_text,
        "outcome": outcome_of,
        "points": points_text,
        "seconds": seconds_text,
        "share": share_text,
        "value": value_text,
    }
    environment.globals |= {
        "sqnr_plot": sqnr_plot,
        "curves": _curves,
        "rows_of": rows_of,
        "tiles_of": tiles_of,
    }
    return environment


def _shown(value: Any) -> Any:
    """Plain text without control characters; what is escaped already stays as it is."""
    return printable(value) if type(value) is str else value


def _curves(history: dict[str, Sequence[float | None]]) -> list[Plot]:
    """One plot for each metric, its values on held-back samples beside those of training."""
    names = list(dict.fromkeys(name.removeprefix("val_") for name in history))
    plots = []
    for name in names:
        pair = {one: history[one] for one in (name, f"val_{name}") if one in history}
        plot = curve_plot(name, pair)
        if plot is not None:
            plots.append(plot)
    return plots
