"""The child: what it imports, and what it does with its files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import tiny_models
from tfgreen.runtimes import availability, child

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("kernel_set", "module"),
    [
        ("reference", "litert.LitertModel('reference', c, 'all', 1)"),
        ("micro", "micro"),
        ("numpy", "interpreted.InterpretedModel(c, 'all', 'micro')"),
    ],
)
def test_the_child_never_imports_tensorflow(kernel_set: str, module: str) -> None:
    if not availability(kernel_set).available:
        pytest.skip(availability(kernel_set).reason)
    code = f"""
import sys
from tests import tiny_models
from tfgreen.runtimes import child, interpreted, litert, micro
c = tiny_models.int8_classifier()
child._import_runtime({kernel_set!r})
{module}
print([m for m in ("tensorflow", "keras", "tf_keras", "pydantic", "rich") if m in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_parent_imports_no_runtime() -> None:
    code = """
import sys
import numpy as np
from tests import tiny_models
from tfgreen.runtimes import Task, availability, run_tasks
availability("micro")
run_tasks("reference", [Task("x", tiny_models.int8_classifier(), (np.zeros((1, 1, 16), "int8"),))])
print([m for m in ("ai_edge_litert.interpreter", "tflite_micro", "tensorflow") if m in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]" and done.stderr == ""


def test_a_child_speaks_one_line_of_json_per_task(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(tiny_models.float_add())
    np.save(tmp_path / "a.npy", np.ones((1, 1, 4), np.float32))
    task = {
        "content": str(tmp_path / "model.tflite"),
        "inputs": [str(tmp_path / "a.npy")] * 2,
        "results": str(tmp_path / "results.bin"),
        "capture": "outputs",
        "measure_arena": False,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tfgreen.runtimes.child", "optimized", "1"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert json.loads(process.stdout.readline()) == {"event": "ready"}
        process.stdin.write(json.dumps(task) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        process.stdin.close()
        assert process.wait(timeout=10) == 0
    assert (answer["event"], answer["status"], answer["sample_count"]) == ("done", "ok", 1)
    assert np.fromfile(tmp_path / "results.bin", np.float32).tolist() == [2, 2, 2, 2]


def test_files_that_cannot_be_written_are_no_fault_of_the_model(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(tiny_models.float_add())
    np.save(tmp_path / "a.npy", np.ones((1, 1, 4), np.float32))
    task = {
        "content": str(tmp_path / "model.tflite"),
        "inputs": [str(tmp_path / "a.npy")] * 2,
        "results": str(tmp_path / "absent" / "results.bin"),
        "capture": "outputs",
        "measure_arena": False,
    }
    answer = child._run("reference", 1, task)
    assert answer["event"] == "no-files" and "absent" in answer["message"]
