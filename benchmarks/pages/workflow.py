"""docs/ci.md: the workflow file as it is."""

from __future__ import annotations

from pathlib import Path

FILE = Path(__file__).parents[2] / "docs" / "github-workflow.yml"


def workflow() -> str:
    """The file as a block of code."""
    return f"```yaml\n{FILE.read_text(encoding='utf-8')}```"
