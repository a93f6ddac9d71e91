"""Every link of the written pages and of the notebooks leads somewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("docs", "tfgreen", "benchmarks", "notebooks", "export_profiles")
# Links and pictures, also over two lines, and HTML's own.
LINK = re.compile(r"\]\(\s*([^)\s]+)\)|<(?:img|a)\b[^>]*?\b(?:src|href)=\"([^\"]+)\"")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    inner = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md")]
    return sorted([*ROOT.glob("*.md"), *inner])


def notebooks() -> list[Path]:
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = HEADING.findall(text_of(page))
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def text_of(page: Path) -> str:
    """The prose of a page or of a notebook, without blocks of code."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells)
    return FENCE.sub("", text)


def links(page: Path) -> list[str]:
    """What a page links to."""
    return [one or other for one, other in LINK.findall(text_of(page))]


def relative_path(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [*pages(), *notebooks()], ids=relative_path)
def test_links_resolve(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{page.relative_to(ROOT)} links to {link}, which does not exist"
        assert path.is_relative_to(ROOT), f"{page.relative_to(ROOT)} links out of the project"
        if anchor:
            assert anchor in anchors(path), f"{link}: there is no such heading"


def test_every_documentation_page_is_linked_from_the_readme() -> None:
    linked = set(links(ROOT / "README.md"))
    missing = {relative_path(page) for page in (ROOT / "docs").glob("*.md")} - linked
    assert not missing


def test_links_of_every_kind_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        '[a](b.md) ![c](d.svg "title")\n[![e](f.png)](g.md#h) <img width="3" src="i.png">\n'
        "[two\nlines](j.md)\n```\n[k](l.md)\n```\n",
        encoding="utf-8",
    )
    found = links(page)
    assert {"b.md", "f.png", "g.md#h", "i.png", "j.md"} <= set(found)
    assert "l.md" not in found
