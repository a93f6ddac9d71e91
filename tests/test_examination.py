"""`tg.diagnose` and `tfgreen diagnose` from end to end, on small files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import tfgreen as tg
from tests import tiny_models
from tfgreen.cli.main import tfgreen_command


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A float file, its int8 file, and samples."""
    paths = tmp_path / "float.tflite", tmp_path / "int8.tflite", tmp_path / "e.npz"
    paths[0].write_bytes(tiny_models.float_classifier())
    paths[1].write_bytes(tiny_models.int8_classifier())
    np.savez(paths[2], x=np.random.default_rng(0).normal(0, 1, (8, 16)).astype(np.float32))
    return paths


def test_the_function_and_the_verb_agree(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    model, file, samples = map(str, files)
    diagnosis = tg.diagnose(model, file, samples)
    assert isinstance(diagnosis, tg.Diagnosis)
    record, plot = tmp_path / "d.json", tmp_path / "d.png"
    command = ["diagnose", model, file, "--evaluate", samples, "-q", "--json"]
    result = CliRunner().invoke(tfgreen_command, [*command, "-o", str(record), "--plot", str(plot)])
    assert result.exit_code == 0, result.output
    assert json.loads(record.read_text())["schema_version"] == 1
    assert tg.Diagnosis.from_json(record.read_text()) == diagnosis
    assert plot.stat().st_size > 1000
    again = CliRunner().invoke(tfgreen_command, [*command, "-o", str(record)])
    assert again.exit_code == 1


def test_what_is_missing_is_said(files: tuple[Path, Path, Path]) -> None:
    model, file, samples = map(str, files)
    with pytest.raises(tg.UsageError, match="give evaluate="):
        tg.diagnose(model, file)
    with pytest.raises(tg.UsageError, match="labels without samples"):
        tg.diagnose(model, file, labels=np.zeros(8, np.int64))
    with pytest.raises(tg.UsageError, match="expected 1 or more"):
        tg.diagnose(model, file, samples, samples=-1)
    with pytest.raises(tg.UsageError, match="is not quantized"):
        tg.diagnose(model, model, samples)
    result = CliRunner().invoke(tfgreen_command, ["diagnose", model, file])
    assert result.exit_code == 2
    assert "--evaluate" in result.output


def test_the_help_shows_examples() -> None:
    result = CliRunner().invoke(tfgreen_command, ["diagnose", "--help"])
    assert "tfgreen diagnose kws.keras kws.tflite --evaluate test.npz" in result.output
