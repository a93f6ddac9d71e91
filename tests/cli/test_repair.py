"""`tfgreen repair`: parses, calls one function, prints, exits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_verbs import CONTENT, EXPORT, bundle_of, exported, files, run
from tests.reporting.test_repair_text import KEPT, SKIPPED, record
from tfgreen.bundle import Bundle

__all__ = ["exported", "files"]  # fixtures

REPAIR = ("repair", "model.keras", "--calibration", "c.npz", "-o", "out/better")


@pytest.fixture
def mended(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    kept: dict[str, Any] = {"verdict": "passed"}

    def repair(model: Any, calibration: Any, **options: Any) -> Bundle:
        kept.update(model=model, calibration=calibration, **options)
        facts = {"repair": record(SKIPPED, KEPT).to_facts()}
        return bundle_of(kept["verdict"], facts)

    monkeypatch.setattr("tfgreen.mending.repair", repair)
    return kept


def test_repair_writes_and_tells(files: Path, mended: dict[str, Any]) -> None:
    done = run(*REPAIR, "--against", "model.keras", "--evaluate", "e.npz")
    assert done.exit_code == 0
    assert "cross-layer equalization" in done.stdout
    assert done.stdout.endswith("Written: out/better\nLook at: out/better/report.html\n")
    assert Bundle.read("out/better").content == CONTENT
    assert (mended["against"], mended["evaluate"]) == ("model.keras", "e.npz")


def test_a_gate_that_fails_all_the_same_is_code_3(files: Path, mended: dict[str, Any]) -> None:
    mended["verdict"] = "failed"
    assert run(*REPAIR).exit_code == 3
    assert Bundle.read("out/better").certificate.verdict == "failed"


def test_json_holds_the_record(files: Path, mended: dict[str, Any]) -> None:
    document = json.loads(run(*REPAIR, "--json").stdout)
    assert document["repair"]["applied"] == ["equalize-weights"]
    assert document["certificate"]["verdict"] == "passed"


def test_quiet_is_lines(files: Path, mended: dict[str, Any]) -> None:
    lines = run(*REPAIR, "-q").stdout.splitlines()
    assert any("Repair: SQNR 3.2 dB to 21.5 dB" in line for line in lines)


def test_calibration_is_needed(files: Path) -> None:
    done = run("repair", "model.keras", "-o", "out")
    assert done.exit_code == 2
    assert "--calibration" in done.stderr


@pytest.mark.parametrize("wanted", [True, False])
def test_export_hands_the_wish_on(files: Path, exported: dict[str, Any], wanted: bool) -> None:
    exported["facts"] = {"repair": record(KEPT).to_facts() if wanted else None}
    done = run(*EXPORT, *(["--repair"] if wanted else []))
    assert exported["options"].repair is wanted
    assert ("cross-layer equalization" in done.stdout) is wanted
