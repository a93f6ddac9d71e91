"""The report as a bundle keeps it: one record, written three ways."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from tfgreen.manifest import REPORT_HTML, REPORT_JSON, REPORT_MARKDOWN
from tfgreen.reporting.page.building import report_of
from tfgreen.reporting.page.html import can_render_html, render_html
from tfgreen.reporting.page.markdown import render_markdown
from tfgreen.reporting.page.record import Skipped

if TYPE_CHECKING:
    from tfgreen.bundle import Bundle

_LOGGER = logging.getLogger(__name__)

NO_HTML = Skipped(
    what=REPORT_HTML,
    why="jinja2 is not installed. Install it, pip install tfgreen[report], and run "
    "`tfgreen report BUNDLE --html report.html`.",
)


def report_files(bundle: Bundle) -> dict[str, bytes]:
    """File name → content; without jinja2 there is no `report.html`, and the others tell so."""
    report = report_of(bundle)
    has_html = can_render_html()
    if not has_html:
        _LOGGER.warning("%s is left out: %s", NO_HTML.what, NO_HTML.why)
        report = report.model_copy(update={"skipped": (NO_HTML, *report.skipped)})
    files = {REPORT_JSON: report.to_json(), REPORT_MARKDOWN: render_markdown([report])}
    if has_html:
        files[REPORT_HTML] = render_html([report])
    return {name: text.encode() for name, text in files.items()}
