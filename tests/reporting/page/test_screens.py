"""The page in a real browser: on a desktop and a phone, in light and dark, and on paper."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests import chromium
from tests.reporting.page import bundles
from tfgreen.bundle import Bundle
from tfgreen.reporting.page import render_html, report_of

pytestmark = pytest.mark.skipif(
    chromium.find() is None, reason="no Chromium: apt-get install chromium"
)

DESKTOP, PHONE = (1280, 800), (390, 844)
SCREENS = [(*DESKTOP, "light"), (*DESKTOP, "dark"), (*PHONE, "light"), (*PHONE, "dark")]
PAGES: dict[str, Callable[[], Sequence[Bundle]]] = {
    "passed": lambda: [bundles.bundle_of()],
    "failed": lambda: [bundles.bundle_of(verdict="failed")],
    "unlabelled": lambda: [bundles.without_labels(bundles.bundle_of(profile="mobile-int8"))],
    "recipe": lambda: [bundles.trained(bundles.bundle_of())],
    "deep": lambda: [bundles.deep(130)],
    "hostile": lambda: [bundles.hostile()],
    "compared": lambda: [bundles.bundle_of(), bundles.deep(3), bundles.hostile()],
}
LOWEST = "Math.max(...[...document.querySelectorAll('.top')[0].querySelectorAll({what})]"
LOWEST += ".map(one => one.getBoundingClientRect().bottom))"
CONTRASTS = """
(() => {
  const parts = text => text.match(/[0-9.]+/g).map(Number);
  const light = text => parts(text).slice(0, 3).map(v => v / 255)
    .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const behind = one => {
    for (; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor, known = parts(colour);
      if (known.length < 4 || known[3] > .99) return colour;
    }
    return getComputedStyle(document.body).backgroundColor;
  };
  return [...document.querySelectorAll('.top *, th, td, small, summary, dd, li')]
    .filter(one => one.checkVisibility() && one.innerText)
    .map(one => {
      const pair = [light(getComputedStyle(one).color), light(behind(one))].sort((a, b) => b - a);
      return [(pair[0] + .05) / (pair[1] + .05), one.outerHTML.slice(0, 80)];
    }).sort((a, b) => a[0] - b[0])[0];
})()
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Page]:
    with chromium.browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.mark.parametrize("name", PAGES)
def test_every_screen_answers_without_scrolling(
    page: chromium.Page, name: str, tmp_path: Path
) -> None:
    file = tmp_path / f"{name} report.html"
    file.write_text(render_html([report_of(one) for one in PAGES[name]()]), encoding="utf-8")
    for width, height, scheme in SCREENS:
        page.open(file, width, height, scheme)
        where = f"{name} {width} {scheme}"
        assert page.requested == [file.as_uri()], where
        assert page.messages == [], where
        assert page.value("document.documentElement.scrollWidth") <= width, where
        if name != "compared":
            assert 0 < page.value(LOWEST.format(what="'.verdict, .sentence'")) < height / 2, where
            assert 0 < page.value(LOWEST.format(what="'.tile'")) <= height, where
        verdicts = page.value("document.querySelector('.verdict').getBoundingClientRect().bottom")
        assert 0 < verdicts < height, where
        contrast, element = page.value(CONTRASTS)
        assert contrast >= 4.5, f"{where}: {contrast:.2f} of {element}"
        shot = page.screenshot(tmp_path / f"{name}-{width}-{scheme}.png")
        assert shot.stat().st_size > 10_000, where


def test_a_plot_marks_the_culprit_where_it_is(page: chromium.Page, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    bundle = bundles.deep(20)
    report = report_of(bundle)
    assert report.culprit is not None and report.culprit.index == 10
    file.write_text(render_html([report]), encoding="utf-8")
    page.open(file, *DESKTOP)
    box = "document.querySelector('{what}').getBoundingClientRect()"
    area, dot = (box.format(what=what) for what in (".tall .area", ".dot.mark"))
    left, width = page.value(f"{area}.left"), page.value(f"{area}.width")
    middle = page.value(f"{dot}.left") + page.value(f"{dot}.width") / 2
    assert middle == pytest.approx(left + width * 10.5 / 20, abs=1.5)
    top, height = page.value(f"{area}.top"), page.value(f"{area}.height")
    middle = page.value(f"{dot}.top") + page.value(f"{dot}.height") / 2
    assert middle == pytest.approx(top + height * (1 - 8.5 / 50), abs=1.5)  # 8.5 of 0..50 dB


def test_paper_is_white_and_shows_how_to_make_it_again(page: chromium.Page, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(render_html([report_of(bundles.bundle_of())]), encoding="utf-8")
    page.open(file, *DESKTOP, "dark")
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.call("Emulation.setEmulatedMedia", media="print", features=features)
    assert page.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.value("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.value("document.querySelector('.hash').getBoundingClientRect().height") > 0
    assert page.pdf(tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_a_bundle_saved_to_a_folder_opens(page: chromium.Page, tmp_path: Path) -> None:
    folder = bundles.bundle_of().save(tmp_path / "kws")
    page.open(folder / "report.html", *PHONE)
    assert page.value("document.querySelector('h1').innerText") == "keyword_spotter"
    assert page.value("document.querySelector('.verdict').innerText") == "✓ PASSED"
