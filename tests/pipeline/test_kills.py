"""Runs of the command line that are killed with SIGKILL and come out as if they had not been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT, TrainedModel
from tests.pipeline.small import made_up_bundle, small_data, small_model
from tests.trained_models import EVALUATION_SAMPLES, keywords
from tfgreen.bundle import Bundle
from tfgreen.pipeline import compress_to

MADE_UP = (
    "import tfgreen.pipeline.run as run; from tests.pipeline.small import made_up_bundle; "
    "run.make_bundle = made_up_bundle; from tfgreen.cli.main import main; main()"
)
WITHOUT_EXPORTS = [sys.executable, "-W", "ignore", "-c", MADE_UP]
WITH_EXPORTS = [sys.executable, "-W", "ignore", "-m", "tfgreen"]
RECIPE = """
[[stages]]
name = "prune"
epochs = 3
batch_size = 40
[stages.pruning]
sparsity = 0.5

[[stages]]
name = "qat"
epochs = 2
[stages.quantization_aware_training]
preserve_sparsity = true
"""


def run_and_kill(command: Sequence[str], at: str | None) -> str:
    """Run a command, killed with all its children when stderr tells of `at`; what it told."""
    told = []
    with subprocess.Popen(
        command, cwd=ROOT, text=True, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        start_new_session=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            told.append(line)
            if at is not None and line.startswith(at):
                os.killpg(process.pid, signal.SIGKILL)
                at = None
                break
        process.stderr.read()
    assert at is None, f"never told of {at}: {told}"
    return "".join(told)


def outcome(folder: Path) -> tuple[bytes, list[str], list[object]]:
    bundle = Bundle.read(folder)
    assert bundle.compression is not None
    stages = bundle.compression.stages
    return bundle.content, [one.model_sha256 for one in stages], [one.history for one in stages]


Commands = Callable[[str, str], list[str]]


def check_kills(command: Commands, folder: Path, moments: Sequence[str]) -> None:
    """Each run is killed at its moment, and the last one finishes what they left.

    `folder` holds the bundle "whole" of a run that nobody killed.
    """
    for moment in moments:
        run_and_kill(command("killed", "other"), moment)
        left = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
        assert "killed" not in left
    run_and_kill(command("killed", "other"), None)
    assert outcome(folder / "killed") == outcome(folder / "whole")
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_killed_in_both_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_model().save(tmp_path / "small.keras")
    x, y = small_data()
    np.savez(tmp_path / "train.npz", x=x, y=y)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    monkeypatch.setattr("tfgreen.pipeline.run.make_bundle", made_up_bundle)
    files = tmp_path / "small.keras", tmp_path / "recipe.toml", tmp_path / "train.npz"
    compress_to(tmp_path / "whole", *files, cache=tmp_path / "caches" / "one")

    def command(output: str, cache: str) -> list[str]:
        return [
            *WITHOUT_EXPORTS, "compress", str(tmp_path / "small.keras"),
            "--recipe", str(tmp_path / "recipe.toml"), "--train", str(tmp_path / "train.npz"),
            "--cache", str(tmp_path / "caches" / cache), "-o", str(tmp_path / output),
        ]  # fmt: skip

    check_kills(command, tmp_path, ("prune: epoch 2", "qat: epoch 1"))


MOMENTS = (
    "reading the data",
    "as it came: choosing the encoding",
    "prune: preparing",
    "prune: epoch 1",
    "prune: epoch 3",
    "prune: golden vectors",
    "qat: preparing",
    "qat: epoch 1",
    "qat: epoch 2",
    "qat: the target",
)


@pytest.mark.slow
def test_pqat_of_the_keyword_spotter_killed_at_ten_moments(
    keyword_model: TrainedModel, tmp_path: Path
) -> None:
    x, y = keywords()
    rest = np.random.default_rng(0).permutation(len(x))[EVALUATION_SAMPLES:]
    np.savez(tmp_path / "train.npz", mfcc=x[rest], y=y[rest])

    def command(output: str, cache: str) -> list[str]:
        return [
            *WITH_EXPORTS, "compress", str(keyword_model.path), "--recipe", "pqat",
            "--train", str(tmp_path / "train.npz"), "--evaluate", str(keyword_model.evaluation),
            "--cache", str(tmp_path / "caches" / cache), "-o", str(tmp_path / output),
        ]  # fmt: skip

    run_and_kill(command("whole", "one"), None)
    check_kills(command, tmp_path, MOMENTS)
    began = time.monotonic()
    run_and_kill(command("again", "other"), None)
    assert time.monotonic() - began < 10
    assert outcome(tmp_path / "again") == outcome(tmp_path / "whole")
