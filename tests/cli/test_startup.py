"""Help and usage errors come at once: nothing heavy is imported, and it is measured."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ["tensorflow", "keras", "tf_keras", "ai_edge_litert", "h5py", "numpy"]
LIMIT_SECONDS = 0.3
VERBS = [
    "export",
    "verify",
    "inspect",
    "compare",
    "benchmark",
    "export-decoder",
    "generate",
    "report",
    "profiles",
    "doctor",
    "completion",
    "demo",
]

QUICK = [
    ([], 2),
    (["--help"], 0),
    (["-h"], 0),
    (["--version"], 0),
    *(([verb, "--help"], 0) for verb in VERBS),
    (["completion", "bash"], 0),
    (["completion", "cmd"], 2),
    (["profiles"], 0),
    (["profiles", "mobile-int8"], 0),
    (["profiles", "mobile-int9"], 2),
    (["profiles", "no/such.toml"], 2),
    (["exprt"], 2),
    (["export"], 2),
    (["export", "no-such.keras", "-o", "x"], 2),
    (["export", "setup.cfg"], 2),
    (["export", "setup.cfg", "-o", "x"], 2),
    (["export", "setup.cfg", "-o", "x", "--calibration", "none.npz"], 2),
    (["export", "setup.cfg", "-o", "x", "--calibration", "setup.cfg", "--profile", "mine"], 2),
    (["export", "setup.cfg", "-o", "x", "--calibration", "setup.cfg", "--io", "int7"], 2),
    (["export", "setup.cfg", "-o", "x", "--calibration", "setup.cfg", "--arena", "64XB"], 2),
    (["export", "setup.cfg", "-o", "x", "--batch", "0"], 2),
    (["export", "setup.cfg", "-o", "", "--calibration", "setup.cfg"], 2),
    (["export", "setup.cfg", "-o", "x", "--repair"], 2),
    (["verify", "no-such"], 2),
    (["verify", "setup.cfg", "--against", "setup.cfg"], 2),
    (["verify", "setup.cfg", "--profile", "mine"], 2),
    (["verify", "setup.cfg", "-o", ""], 2),
    (["inspect"], 2),
    (["compare", "setup.cfg", "--calibration", "setup.cfg"], 2),
    (["benchmark"], 2),
    (["benchmark", "no-such.tflite"], 2),
    (["benchmark", "setup.cfg", "--port", "22"], 2),
    (["report"], 2),
    (["report", "no-such.tflite"], 2),
    (["report", "setup.cfg", "--kernels", "none"], 2),
    (["demo", "stray"], 2),
]


def identity(case: tuple[list[str], int]) -> str:
    return " ".join(case[0]) or "nothing"


@pytest.mark.parametrize("case", QUICK, ids=identity)
def test_quick_answers_import_nothing_heavy(case: tuple[list[str], int]) -> None:
    arguments, code = case
    script = (
        "import json, sys\n"
        "sys.argv = ['tfgreen', *json.loads(sys.argv[1])]\n"
        "from tfgreen.cli.main import main\n"
        "try: main()\n"
        f"finally: print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", script, json.dumps(arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert done.stderr.splitlines()[-1] == "[]"
    assert "Traceback" not in done.stderr
    assert bool(done.stdout) == (code == 0)


SLOWEST = [
    ["--help"],
    ["--version"],
    ["export", "--help"],
    ["profiles"],
    ["export", "setup.cfg", "-o", "x", "--calibration", "setup.cfg", "--io", "int7"],
]


@pytest.mark.parametrize("arguments", SLOWEST, ids=" ".join)
def test_quick_answers_are_quick(arguments: list[str]) -> None:
    """Processor time, the best of five: the other cores' work does not count."""
    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "tfgreen", *arguments]
        subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) <= LIMIT_SECONDS


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_examples(verb: str) -> None:
    command = [sys.executable, "-m", "tfgreen", verb, "--help"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60).stdout
    assert "Examples:" in text
    assert f"tfgreen {verb}" in text.split("Examples:")[1]
