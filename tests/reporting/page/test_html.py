"""The page as text: whole, self-contained, and deaf to what names and messages would have it do."""

from __future__ import annotations

import builtins
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.reporting.page import bundles
from tfgreen.bundle import Bundle
from tfgreen.errors import MissingDependencyError
from tfgreen.reporting.page import html as module
from tfgreen.reporting.page import render_html, report_files, report_of
from tfgreen.reporting.page.record import BundleReport

VOID = {"meta", "br", "path", "polyline"}
ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "main", "article", "header", "section"),
    *("footer", "h1", "h2", "h3", "p", "ul", "li", "dl", "dt", "dd", "div", "span", "b", "i", "a"),
    *("small", "strong", "bdi", "code", "pre", "table", "thead", "tbody", "tr", "th", "td", "br"),
    *("figure", "figcaption", "svg", "path", "polyline", "details", "summary"),
}


class Read(HTMLParser):
    """Elements, attributes and text; every element has to be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def page_of(*shown: Bundle) -> Read:
    return Read(render_html([report_of(bundle) for bundle in shown]))


@pytest.mark.parametrize(
    "bundle",
    [
        bundles.bundle_of(),
        bundles.bundle_of(verdict="failed"),
        bundles.without_labels(bundles.bundle_of()),
        bundles.trained(bundles.bundle_of()),
        bundles.deep(120),
        bundles.hostile(),
        replace(bundles.bundle_of(), facts={}, ledger=None, labels=None, versions={}),
    ],
    ids=["passed", "failed", "no labels", "recipe", "deep", "hostile", "told nothing"],
)
def test_a_page_is_whole_and_loads_nothing(bundle: Bundle) -> None:
    page = page_of(bundle)
    assert page.tags <= ALLOWED
    names = {name for name, _ in page.attributes}
    assert not [name for name in names if name.startswith("on")]
    assert not names & {"src", "srcset", "action", "formaction", "xlink:href"}
    links = [value for name, value in page.attributes if name == "href"]
    assert all(value is not None and value.startswith("#") for value in links)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_hostile_text_is_shown_as_text() -> None:
    page = page_of(bundles.hostile())
    shown = bundles.HOSTILE.replace("\u202e", "?")
    for place in ("block", "name", "message", "label", "source", "note"):
        assert page.text.count(shown) > 5, place
    assert "\u202e" not in page.text
    assert not [value for _, value in page.attributes if value and "\u202e" in value]


def test_the_verdict_and_the_reason_come_first() -> None:
    text = " ".join(page_of(bundles.bundle_of(verdict="failed")).text.split())
    start = text.index("✗ FAILED")
    reason = text.index("May not be shipped: 1 check failed (fidelity).", start)
    assert reason < text.index("SQNR at 'logits' is 8.34 dB") < text.index("Before and after")
    assert reason < text.index("tfgreen diagnose MODEL BUNDLE/") < text.index("Before and after")
    assert "tfgreen diagnose" not in page_of(bundles.bundle_of()).text


def test_what_a_page_tells() -> None:
    text = " ".join(page_of(bundles.trained(bundles.bundle_of())).text.split())
    for told in (
        "No gate failed, but nothing is proven about runtime.",
        "40 J",
        "modelled, 10 to 90; 10 s of processor time",
        "× smaller than 8.8 KB before the recipe",
        "37.0 % of the 64.0 KB budget",
        "3 of 30 answers differ from the trained float model's.",
        "Right answers of 1 of 3 classes: as many as the trained float model's.",
        "2 × no: no for the trained float model, naïve for the file",
        "Recipe pqat, seed 7.",
        "12 samples are few.",
        "Pruning of Dense 'dense' in stage prune",
        "too small",
        "unregistered",
        "tfgreen==0.1.0",
        "sha256 " + "6" * 64,
    ):
        assert told in text, told


def test_several_bundles_side_by_side() -> None:
    small, large = bundles.bundle_of(), bundles.deep(3)
    page = page_of(replace(small, facts={}), large)
    text = " ".join(page.text.split())
    assert text.index("2 bundles side by side") < text.index("Before and after")
    assert text.count("Before and after") == 2
    best = [value for name, value in page.attributes if name == "class" and value == "n gain"]
    assert best


def test_without_jinja2_the_rest_is_written_and_tells_so(monkeypatch: pytest.MonkeyPatch) -> None:
    loading = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] in ("jinja2", "markupsafe"):
            raise ImportError(name)
        return loading(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    module._environment.cache_clear()
    files = report_files(bundles.bundle_of())
    assert set(files) == {"report.json", "report.md"}
    assert b"report.html was left out" in files["report.md"]
    told = BundleReport.from_json(files["report.json"]).skipped[0]
    assert told.what == "report.html" and "pip install tfgreen[report]" in told.why
    with pytest.raises(MissingDependencyError, match=r"pip install tfgreen\[report\]"):
        render_html([report_of(bundles.bundle_of())])
