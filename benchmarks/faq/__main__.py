"""Write docs/faq.md from the records, or measure them anew."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.faq import distillation, pruning, speed
from benchmarks.faq.page import PAGE, page
from benchmarks.faq.records import write

QUESTIONS: Mapping[str, Callable[[str | None], dict[str, Any]]] = {
    "pruning": pruning.measure,
    "speed": speed.measure,
    "distillation": distillation.measure,
}


def main() -> None:
    """Measure what was asked for, and write the page."""
    parser = argparse.ArgumentParser(description="docs/faq.md from its records.")
    parser.add_argument("--measure", nargs="+", choices=QUESTIONS, default=[])
    parser.add_argument("--test", metavar="FILE.npz", help="clips to judge by: x_test, y_test")
    given = parser.parse_args()
    for name in given.measure:
        write(name, QUESTIONS[name](given.test))
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
