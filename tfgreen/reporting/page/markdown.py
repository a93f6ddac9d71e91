"""`report.md`: the verdict and the figures, short enough for a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tfgreen.manifest import REPORT_HTML
from tfgreen.reporting.page.baseline import before_text
from tfgreen.reporting.page.record import BundleReport
from tfgreen.reporting.page.side_by_side import rows_of
from tfgreen.reporting.page.values import change_text, value_text
from tfgreen.reporting.wording import printable

_MOST_LINES = 10
_SIGNS = {"passed": "✅", "failed": "❌"}
_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~$&])")
_LINKED = re.compile(r"(?<=[@#:])(?=\w|//)|(?<=www)(?=\.)")


def render_markdown(reports: Sequence[BundleReport]) -> str:
    """GitHub's Markdown of one bundle, or of several with a table of them all before.

    Whatever comes from a model or its data shows as the text it is.
    """
    lines = [*_side_by_side(reports)] if len(reports) > 1 else []
    for report in reports:
        lines += [*_lines(report), ""]
    return "\n".join(lines[:-1]) + "\n"


def _side_by_side(reports: Sequence[BundleReport]) -> Iterator[str]:
    names = (f"{_SIGNS[report.verdict]} {_plain(report.name)}" for report in reports)
    yield f"| | {' | '.join(names)} |"
    yield f"|---|{'--:|' * len(reports)}"
    for row in rows_of(reports):
        cells = (
            f"**{_plain(cell)}**" if place in row.best else _plain(cell)
            for place, cell in enumerate(row.cells)
        )
        yield f"| {_plain(row.label)} | {' | '.join(cells)} |"
    yield ""


def _lines(report: BundleReport) -> Iterator[str]:
    verdict = f"{_SIGNS[report.verdict]} {report.verdict.upper()}"
    yield f"## {verdict}: {_plain(report.name)} for {_plain(report.profile)}"
    yield ""
    yield _plain(report.sentence)
    yield ""
    yield "| | before | after | change |"
    yield "|---|--:|--:|--:|"
    for figure in report.figures:
        cells = (
            figure.label,
            value_text(figure.before, figure.unit),
            value_text(figure.after, figure.unit),
            change_text(figure),
        )
        yield f"| {' | '.join(map(_plain, cells))} |"
    if what := before_text(report.compression):
        yield f"\n{_plain(what)}"
    yield from _list("Failed", [f"{one.gate}: {one.message}" for one in report.failures])
    yield from _list("Warnings", [f"{one.gate}: {one.message}" for one in report.warnings])
    if report.spent_total is not None:
        spent = report.spent_total
        yield ""
        yield f"Making it took {_plain(value_text(spent.joules, 'joules'))}, {spent.method}."
    for one in report.skipped:
        if one.what == REPORT_HTML:
            yield f"\n{one.what} was left out: {_plain(one.why)}"
    yield ""
    yield f"`sha256 {report.reproduction.file_sha256}`"


def _list(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield ""
        yield f"### {title}"
        yield ""
        yield from (f"- {_plain(line)}" for line in lines[:_MOST_LINES])
    if len(lines) > _MOST_LINES:
        yield f"- and {len(lines) - _MOST_LINES} more"


def _plain(text: str) -> str:
    """Text that no renderer takes for markup, a link, a mention or a number of an issue.

    >>> _plain("<b>|a_b @user")
    '\\\\<b\\\\>\\\\|a\\\\_b @<!-- -->user'
    """
    escaped = _SPECIAL.sub(r"\\\1", printable(text))
    return _LINKED.sub("<!-- -->", escaped)
