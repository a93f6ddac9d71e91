"""The command as a process: a whole run, signals, and a reader that goes away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_models import int8_classifier

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "tfgreen"]


def tfgreen(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, **options)


def test_export_verify_inspect(trained_model: Callable[[str], Any], tmp_path: Path) -> None:
    model = trained_model("conv1d")
    bundle = tmp_path / "kws"
    done = tfgreen(
        "export", model.path, "--calibration", model.calibration, "--evaluate", model.evaluation,
        "--flash", "1KB", "-o", bundle, "--json",
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    certificate = json.loads(done.stdout)["certificate"]
    failed = [c for gate in certificate["gates"] for c in gate["checks"] if c["status"] == "failed"]
    assert [check["gate"] for check in failed] == ["structure"]
    assert "1,024" in failed[0]["message"]
    assert {p.name for p in tmp_path.iterdir()} == {"kws"}

    again = tfgreen("verify", bundle, "-q")
    assert again.returncode == 3
    assert again.stdout.startswith("FAILED")
    alone = tfgreen("verify", bundle / "model.tflite", "-o", tmp_path / "certificate.json")
    assert alone.returncode == 0, alone.stderr
    assert json.loads((tmp_path / "certificate.json").read_text())["verdict"] == "passed"

    content = bytearray((bundle / "model.tflite").read_bytes())
    content[-1] ^= 1
    (bundle / "model.tflite").write_bytes(content)
    changed = tfgreen("verify", bundle)
    assert changed.returncode == 3
    assert changed.stdout == ""
    assert "model.tflite is not the file" in changed.stderr
    assert len(changed.stderr.splitlines()) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_leave_no_orphan_and_no_output(
    trained_model: Callable[[str], Any], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    model = trained_model("conv1d")
    arguments = ["--calibration", model.calibration, "-o", tmp_path / "kws"]
    with subprocess.Popen(
        [*COMMAND, "export", model.path, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stderr:
            if "TensorFlow" in line:  # the child has been started
                break
        time.sleep(0.5)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in stderr
    assert stdout == ""
    assert not list(tmp_path.iterdir())
    assert children
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline, "a child outlives its parent"
        time.sleep(0.1)


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    (tmp_path / "kws.tflite").write_bytes(int8_classifier())
    read, write = os.pipe()
    os.close(read)
    try:
        command = [*COMMAND, "inspect", tmp_path / "kws.tflite", "--json"]
        done = subprocess.run(command, cwd=ROOT, stdout=write, stderr=subprocess.PIPE, timeout=60)
    finally:
        os.close(write)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


def test_a_terminal_without_utf8(tmp_path: Path) -> None:
    (tmp_path / "kws.tflite").write_bytes(int8_classifier())
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = tfgreen("inspect", tmp_path / "kws.tflite", env=environment)
    assert done.returncode == 0
    assert "FULLY_CONNECTED" in done.stdout


def test_python_m_is_the_command() -> None:
    assert tfgreen("--version").stdout.startswith("tfgreen ")
