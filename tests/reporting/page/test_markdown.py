"""`report.md`, read by a Markdown parser."""

from __future__ import annotations

import re
from dataclasses import replace

from markdown_it import MarkdownIt

from tests.reporting.page import bundles
from tfgreen.reporting.page import render_html, render_markdown, report_of
from tfgreen.reporting.page.tiles import tiles_of


def rendered(text: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(text)


def test_a_pull_request_sees_the_verdict_and_the_figures() -> None:
    text = render_markdown([report_of(bundles.bundle_of(verdict="failed"))])
    page = rendered(text)
    assert "<h2>❌ FAILED: keyword_spotter for microcontroller-int8</h2>" in page
    assert "<td>Accuracy on micro (truth)</td>" in page
    assert "SQNR at 'logits' is 8.34 dB" in page
    assert len(text.splitlines()) < 40


def test_a_recipe_is_held_against_the_model_that_it_was_given() -> None:
    bundle = bundles.trained(bundles.bundle_of())
    told = "2.9 KB, 2.0 KB with gzip; accuracy 97.0 % (in float 97.5 %)."
    page = rendered(render_markdown([report_of(bundle)]))
    assert f"that the recipe was given. Exported without the recipe: {told}" in page
    assert told in render_html([report_of(bundle)])
    answers, file, *_ = tiles_of(report_of(bundle))
    lost = 97.5 - float(answers.number.removesuffix(" %"))
    assert answers.note == f"−{lost:.2f} points; before the recipe 97.5 %"
    assert answers.outcome == "loss"
    smaller = 9_000 / len(bundle.content)
    assert file.note == f"{smaller:.2f}× smaller than 8.8 KB before the recipe"
    assert bundle.compression is not None
    plain = replace(bundle, compression=bundle.compression.model_copy(update={"stages": ()}))
    assert "Exported without the recipe" not in render_markdown([report_of(plain)])
    assert "before the recipe" not in render_html([report_of(plain)])


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
