"""The generated parts of the pages are what the code says now; `make docs` writes them."""

from __future__ import annotations

import doctest

import click
import pytest

from benchmarks.pages import markers
from benchmarks.pages.__main__ import DOCS, PARTS, generated
from benchmarks.pages.command_line import verb_list, verb_reference
from benchmarks.pages.profiles import each, overview
from tfgreen.cli.main import tfgreen_command
from tfgreen.errors import InvalidDataError
from tfgreen.profile import list_profiles
from tfgreen.verification.certificate import Certificate


@pytest.mark.parametrize("name", PARTS)
def test_the_page_is_current(name: str) -> None:
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == generated(name), f"docs/{name} is out of date: run `make docs`"


def test_every_option_of_every_verb_is_told() -> None:
    text = verb_reference()
    for name, verb in tfgreen_command.commands.items():
        assert f"[`tfgreen {name}`](#tfgreen-{name})" in verb_list()
        section = text.split(f"### tfgreen {name}\n")[1].split("\n### ")[0]
        for one in verb.params:
            if isinstance(one, click.Option):
                assert f"`{one.opts[0]}`" in section, f"{name}: {one.opts}"
        assert f"tfgreen {name}" in section.split("Examples:")[1]


def test_every_profile_is_told() -> None:
    for name in list_profiles():
        assert f"[`{name}`](#{name})" in overview()
        assert f"### {name}\n" in each()


def test_every_key_of_a_certificate_is_told() -> None:
    page = (DOCS / "certificate.md").read_text(encoding="utf-8")
    told = page.split("## As JSON")[1].split("## From Python")[0]
    missing = [name for name in Certificate.model_fields if f"`{name}`" not in told]
    assert not missing


def test_examples_of_the_markers() -> None:
    results = doctest.testmod(markers)
    assert results.attempted > 0 and results.failed == 0


@pytest.mark.parametrize(
    "page",
    [
        "none",
        "<!-- generated: x -->",
        "<!-- /generated: x -->\n<!-- generated: x -->",
        2 * "<!-- generated: x -->\n<!-- /generated: x -->\n",
    ],
)
def test_a_page_without_its_part(page: str) -> None:
    with pytest.raises(InvalidDataError, match="no part 'x'; expected '<!-- generated: x -->'"):
        markers.with_part(page, "x", "new")
