"""`report.md`: the verdict and the figures, short enough for a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tfgreen.reporting.page.record import BundleReport
from tfgreen.reporting.page.values import change_text, value_text
from tfgreen.reporting.wording import printable

_MOST_LINES = 10
_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+!|~$&-])")
_LINKED = re.compile(r"(?<=[@#:])(?=\w|//)|(?<=www)(?=\.)")


def render_markdown(report: BundleReport) -> str:
    """GitHub's Markdown; whatever comes from a model or its data shows as the text it is."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: BundleReport) -> Iterator[str]:
    sign = "✅" if report.verdict == "passed" else "❌"
    yield f"## {sign} {report.verdict.upper()}: {_plain(report.name)} for {_plain(report.profile)}"
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
    yield from _list("Failed", [f"{one.gate}: {one.message}" for one in report.failures])
    yield from _list("Warnings", [f"{one.gate}: {one.message}" for one in report.warnings])
    if report.spent_total is not None:
        spent = report.spent_total
        yield ""
        yield f"Making it took {_plain(value_text(spent.joules, 'joules'))}, {spent.method}."
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
