"""`report.md`, read by a Markdown parser."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt

from tests.reporting.page import bundles
from tfgreen.reporting.page import render_markdown, report_of


def rendered(text: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(text)


def test_a_pull_request_sees_the_verdict_and_the_figures() -> None:
    text = render_markdown([report_of(bundles.bundle_of(verdict="failed"))])
    page = rendered(text)
    assert "<h2>❌ FAILED: keyword_spotter for microcontroller-int8</h2>" in page
    assert "<td>Accuracy on micro (truth)</td>" in page
    assert "SQNR at 'logits' is 8.34 dB" in page
    assert len(text.splitlines()) < 40


def test_hostile_text_is_shown_as_text() -> None:
    text = render_markdown([report_of(bundles.hostile())])
    page = rendered(text)
    tags = set(re.findall(r"<(\w+)", page))
    assert tags <= {
        "h2",
        "h3",
        "p",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "ul",
        "li",
        "code",
    }
    assert "&lt;script&gt;" in page


def test_no_mentions_numbers_or_links() -> None:
    bundle = bundles.bundle_of(name="@octocat fixes #12, see https://evil.example/ | `x` [y](z)")
    text = render_markdown([report_of(bundle)])
    assert "@octocat" not in text and "#12" not in text and "https://" not in text
    page = rendered(text)
    assert "<a " not in page
    assert "@octocat fixes #12, see https://evil.example/ | `x` [y](z)" in re.sub(
        r"<!-- -->", "", page
    )


def test_several_bundles_have_a_table_of_them_all() -> None:
    reports = [report_of(bundles.bundle_of(name=name)) for name in ("one", "two")]
    page = rendered(render_markdown(reports))
    assert '<th style="text-align:right">✅ one</th>' in page
    assert page.index("✅ two") < page.index("<h2>")
