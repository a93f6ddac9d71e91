from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.certificates import certificate_of
from tests.conftest import ROOT, TrainedModel
from tfgreen.bundle import Bundle
from tfgreen.demonstration import demo, demo_screen, run_demo
from tfgreen.demonstration.demo import DemoResult, StoredSize
from tfgreen.errors import OutputExistsError
from tfgreen.profile import load_profile
from tfgreen.reporting.tables import to_text


def test_the_screen(
    keyword_model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the training, which is replaced by a model trained before."""

    def trained_before(path: Path, *_: object) -> tuple[int, float]:
        shutil.copy(keyword_model.path, path)
        return 6508, 0.0

    monkeypatch.setattr(demo, "_train", trained_before)
    result = run_demo(tmp_path / "bundle")
    assert result.bundle.certificate.passed
    assert result.int8_size.file_bytes == (tmp_path / "bundle" / "model.tflite").stat().st_size
    screen = to_text(demo_screen(result))
    for kernel_set in result.bundle.profile.kernel_sets.runs:
        assert kernel_set in screen
    for gate in ("structure", "kernels", "fidelity", "runtime"):
        assert gate in screen
    assert f"{result.float_size.file_bytes:,}" in screen
    assert f"{result.bundle.certificate.arena_bytes:,}" in screen
    assert f"Look at its report: {tmp_path / 'bundle' / 'report.html'}" in screen
    assert len(screen.splitlines()) <= 40


def test_the_screen_where_the_truth_did_not_run(tmp_path: Path) -> None:
    """No accuracy was measured then; the gates are told all the same."""
    content = b"a file"
    failed = certificate_of(content, verdict="failed").model_copy(update={"metrics": ()})
    size = StoredSize.of(content)
    bundle = Bundle(content, failed, load_profile("microcontroller-int8"))
    screen = to_text(demo_screen(DemoResult(bundle, tmp_path, size, size, 6508, 100, 1.0, 2.0)))
    assert "FAILED" in screen and "fidelity" in screen


def test_an_existing_output_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "mine.txt").write_text("keep")
    with pytest.raises(OutputExistsError):
        run_demo(tmp_path / "bundle")
    assert (tmp_path / "bundle" / "mine.txt").read_text() == "keep"


@pytest.mark.slow
def test_the_whole_demonstration(tmp_path: Path) -> None:
    """The command as people run it: at most three minutes, at least 90 % right."""
    command = [sys.executable, "-c", "from tfgreen.cli.main import main; main()", "demo", "--json"]
    result = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert result.returncode == 0, result.stderr
    certificate = json.loads(result.stdout)["certificate"]
    assert certificate["verdict"] == "passed"
    (metric,) = certificate["metrics"]
    assert metric["float_model"] > 0.9
    assert min(metric["kernel_sets"].values()) > 0.9
    assert "training" in result.stderr
