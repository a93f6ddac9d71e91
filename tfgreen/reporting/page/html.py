"""`report.html`: one page without scripts and without anything from elsewhere."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfgreen.errors import MissingDependencyError
from tfgreen.footprint.wording import seconds_text
from tfgreen.reporting.page.baseline import before_text, judge_text
from tfgreen.reporting.page.plots import Plot, curve_plot, sqnr_plot
from tfgreen.reporting.page.record import BundleReport, KernelCell, LayerLine
from tfgreen.reporting.page.side_by_side import rows_of
from tfgreen.reporting.page.tiles import tiles_of
from tfgreen.reporting.page.values import (
    change_text,
    file_text,
    outcome_of,
    range_text,
    value_text,
)
from tfgreen.reporting.wording import bits_text, bytes_text, decibel_text, printable
from tfgreen.verification.labels import counted
from tfgreen.wording import share_text

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
        "before": before_text,
        "bits": bits_text,
        "bytes": bytes_text,
        "change": change_text,
        "code": _code,
        "decibel": decibel_text,
        "file": file_text,
        "judge": judge_text,
        "outcome": outcome_of,
        "prose": _prose,
        "range": range_text,
        "signed": _signed,
        "seconds": seconds_text,
        "share": share_text,
        "value": value_text,
    }
    environment.globals |= {
        "counted": counted,
        "curves": _curves,
        "odd_kernels": _odd_kernels,
        "rows_of": rows_of,
        "sqnr_plot": sqnr_plot,
        "tiles_of": tiles_of,
    }
    return environment


def _shown(value: Any) -> Any:
    """Plain text without control characters; what is escaped already stays as it is."""
    return printable(value) if type(value) is str else value


def _code(text: str) -> Any:
    """Lines as they are."""
    from markupsafe import Markup, escape

    return Markup("\n".join(str(escape(printable(line))) for line in text.splitlines()))


def _prose(text: str) -> Any:
    """A sentence; what stands in backticks is code."""
    from markupsafe import Markup, escape

    parts = [str(escape(part)) for part in printable(text).split("`")]
    if len(parts) % 2 == 0:  # one of them has no partner
        return Markup("`".join(parts))
    return Markup("".join(f"<code>{one}</code>" if n % 2 else one for n, one in enumerate(parts)))


def _signed(number: int) -> str:
    return f"{number:+,}".replace("-", "−")


def _odd_kernels(report: BundleReport) -> list[tuple[LayerLine, str, KernelCell]]:
    """Ops that some kernel set does not compute as the others do, in the file's order."""
    return [
        (layer, name, cell)
        for layer in report.layers
        for name, cell in layer.kernels.items()
        if cell.status not in ("ok", "not-compared")
    ]


def _curves(history: Mapping[str, Sequence[float | None]]) -> list[Plot]:
    """One plot for each metric, its values on held-back samples beside those of training."""
    names = dict.fromkeys(name.removeprefix("val_") for name in history)
    pairs = (
        {one: history[one] for one in (name, f"val_{name}") if one in history} for name in names
    )
    plots = (curve_plot(name, pair) for name, pair in zip(names, pairs, strict=True))
    return [plot for plot in plots if plot is not None]
