"""Write the generated parts of docs/, or tell which are out of date."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.pages import command_line, profiles, workflow
from benchmarks.pages.markers import with_part

DOCS = Path(__file__).parents[2] / "docs"

PARTS: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "cli.md": {
        "verbs": command_line.verb_list,
        "options": command_line.verb_reference,
    },
    "profiles.md": {
        "overview": profiles.overview,
        "each": profiles.each,
        "accelerators": profiles.accelerators,
        "limits": profiles.limits,
    },
    "ci.md": {"workflow": workflow.workflow},
}
"""Page → name of the part → what renders it."""


def generated(name: str) -> str:
    """The page of that name as it should be: its own text, with every part rendered anew."""
    page = (DOCS / name).read_text(encoding="utf-8")
    for part, render in PARTS[name].items():
        page = with_part(page, part, render())
    return page


def main() -> None:
    """Write every page that has changed."""
    parser = argparse.ArgumentParser(description="The generated parts of docs/.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if one is old")
    given = parser.parse_args()
    old = [name for name in PARTS if (DOCS / name).read_text(encoding="utf-8") != generated(name)]
    for name in old:
        print(f"docs/{name}: {'out of date' if given.check else 'written'}")
        if not given.check:
            (DOCS / name).write_text(generated(name), encoding="utf-8")
    raise SystemExit(1 if old and given.check else 0)


if __name__ == "__main__":
    main()
