"""The examples of README.md and docs/ run as they are written, top to bottom, in an empty folder.

Python blocks are run as scripts; of shell blocks, the lines that call `tfgreen`. Lines for
notebooks (`%pip`, `!`) and for other systems (`powershell`) are not.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, TrainedModel

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = {
    "README.md": 5,
    "docs/quickstart.md": 10,
    "docs/concepts.md": 4,
    "docs/ci.md": 1,
    "docs/export.md": 1,
    "docs/language_models.md": 4,
    "docs/benchmark.md": 4,
    "docs/compare.md": 2,
    "docs/footprint.md": 6,
    "docs/report.md": 6,
    "docs/robustness.md": 2,
    "docs/training.md": 3,
}

pytestmark = pytest.mark.slow


def commands(page: Path) -> list[list[str]]:
    """What a reader of the page would run, in order."""
    found: list[list[str]] = []
    for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "python" and not re.search(r"^[%!]", text, re.MULTILINE):
            found.append([sys.executable, "-c", text])
        elif language == "sh":
            lines = [line for line in text.splitlines() if line.startswith("tfgreen ")]
            found += [[sys.executable, "-m", *shlex.split(line, comments=True)] for line in lines]
    return found


@pytest.mark.parametrize("name", PAGES)
def test_examples_run(name: str, keyword_model: TrainedModel, tmp_path: Path) -> None:
    shutil.copy(keyword_model.path, tmp_path / "kws.keras")
    for copy in ("calib.npz", "calibration.npz"):
        shutil.copy(keyword_model.calibration, tmp_path / copy)
    shutil.copy(keyword_model.evaluation, tmp_path / "test.npz")
    examples = commands(ROOT / name)
    assert len(examples) == PAGES[name]
    for command in examples:
        result = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert result.returncode == 0, f"{command[2:]}\n{result.stdout}\n{result.stderr}"


def test_the_demo_screen_is_a_real_one() -> None:
    """The README shows what the demonstration prints: the same headings, in the same order."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    screen = next(text for language, text in BLOCK.findall(readme) if language == "text")
    headings = ("A keyword spotter", "Accuracy", "Size", "Gates", "PASSED: the bundle is in")
    positions = [screen.index(heading) for heading in headings]
    assert positions == sorted(positions)
