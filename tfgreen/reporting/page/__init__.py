"""The page of a bundle: one record, and from it HTML, Markdown and JSON.

`report_of` reads what the bundle holds and runs nothing. `render_html` needs jinja2.
"""

from tfgreen.reporting.page.building import report_of
from tfgreen.reporting.page.files import NO_HTML, report_files
from tfgreen.reporting.page.html import can_render_html, render_html
from tfgreen.reporting.page.markdown import render_markdown
from tfgreen.reporting.page.record import BundleReport

__all__ = [
    "NO_HTML",
    "BundleReport",
    "can_render_html",
    "render_html",
    "render_markdown",
    "report_files",
    "report_of",
]
