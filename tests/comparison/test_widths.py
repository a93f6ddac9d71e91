"""`tfgreen.compare`: rows, failures and figures; the exports themselves are made up but once."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfgreen as tg
from tests.certificates import certificate_of
from tests.conftest import ROOT, TrainedModel
from tests.tiny_models import OpSpec, TensorSpec, build, float_classifier, int8_classifier
from tfgreen.benchmarking.latency import Effort
from tfgreen.bundle import Bundle
from tfgreen.comparison import trial, widths
from tfgreen.comparison.record import RuntimeVerdict
from tfgreen.comparison.runs import EverySet
from tfgreen.comparison.timing import timed_again
from tfgreen.comparison.widths import PROFILES, WIDTHS, compare
from tfgreen.errors import (
    ConversionError,
    InvalidDataError,
    OutputError,
    OutputExistsError,
    UnknownNameError,
    UsageError,
)
from tfgreen.intervals import wilson
from tfgreen.profile import load_profile
from tfgreen.verification import scoring

QUICK = Effort(
    sessions=1, rounds=5, budget_seconds=0.1, block_seconds=0.0002, warmup_seconds=0.0, probes=1
)
RANDOM = np.random.default_rng(5)
CALIBRATION = RANDOM.uniform(-1, 1, (40, 16)).astype(np.float32)
X = RANDOM.uniform(-1, 1, (60, 16)).astype(np.float32)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.tflite"
    path.write_bytes(float_classifier())
    return path


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """int8 exports well, int16x8 misses a gate, int4 cannot be made; the profiles asked for."""
    asked: list[str] = []

    def make_bundle(
        model: Any, calibration: Any, profile: Any, evaluate: Any, options: Any, tell: Any
    ) -> Bundle:
        asked.append(profile.name)
        tell("converting", 0, 0)
        assert options.encoding == "dense"
        assert np.array_equal(calibration.inputs["x"], CALIBRATION)
        if profile.name == PROFILES["int4"]:
            raise ConversionError("There is no such kernel.")
        verdict: Any = "failed" if profile.name == PROFILES["int16x8"] else "passed"
        content = int8_classifier()
        return Bundle(content, certificate_of(content, verdict=verdict), profile)

    monkeypatch.setattr(trial, "make_bundle", make_bundle)
    return asked


@pytest.fixture
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kernel set but micro is said to be right, and nothing is timed."""
    right = [RuntimeVerdict(kernel_set=name, status="right") for name in ("xnnpack", "numpy")]
    missing = RuntimeVerdict(kernel_set="micro", status="missing", message="pip it")
    everywhere = EverySet((*right, missing), None, 0.0)
    monkeypatch.setattr(trial, "run_everywhere", lambda *rest: everywhere)
    monkeypatch.setattr(widths, "timed_files", lambda *rest: None)


def test_every_width_keeps_its_row(model: Path, exports: list[str], tmp_path: Path) -> None:
    labels = RANDOM.integers(0, 4, 60)
    steps: list[str] = []
    found = compare(
        model,
        CALIBRATION,
        evaluate=(X, labels),
        widths=("int4", "int8", "int16x8"),
        effort=QUICK,
        keep=tmp_path / "files",
        on_progress=lambda step, done, of: steps.append(step),
    )
    assert [(row.width, row.status) for row in found.rows] == [
        ("float32", "passed"),
        ("int8", "passed"),
        ("int16x8", "gate-failed"),
        ("int4", "failed"),
    ]
    assert exports == [PROFILES["int8"], PROFILES["int16x8"], PROFILES["int4"]]
    assert "int8: converting" in steps
    floats, int8, wide, none = found.rows
    assert none.message == "There is no such kernel."
    assert none.file_bytes is None
    assert wide.message
    assert wide.latency is not None
    assert floats.file_bytes == len(float_classifier())
    assert floats.gzip_bytes == len(gzip.compress(float_classifier(), 9, mtime=0))
    assert int8.file_bytes == len(int8_classifier())
    assert floats.energy_ratio == 1.0
    assert floats.speed is None
    assert int8.speed is not None
    assert found.score_kind == "accuracy"
    assert found.score_samples == 60
    assert floats.score is not None
    right = round(60 * floats.score.value)
    assert (floats.score.low, floats.score.high) == pytest.approx(wilson(right, 60))
    assert int8.score is not None
    assert int8.difference is not None
    assert int8.difference.value == pytest.approx(int8.score.value - floats.score.value)
    assert tg.Comparison.from_json(found.to_json()) == found
    assert found.row("int8") is int8
    names = sorted(path.name for path in (tmp_path / "files").iterdir())
    assert names == ["float32.tflite", "int16x8.tflite", "int8.tflite"]
    again = timed_again(found, tmp_path / "files", QUICK)
    assert again.row("int8").score == int8.score
    assert again.row("int8").latency != int8.latency
    with pytest.raises(OutputExistsError):
        compare(model, CALIBRATION, evaluate=X, keep=tmp_path / "files")
    with pytest.raises(InvalidDataError, match="There is no width 'float16' here"):
        found.row("float16")


def test_what_is_printed_and_drawn(
    model: Path, exports: list[str], untimed: None, tmp_path: Path
) -> None:
    found = compare(model, CALIBRATION, evaluate=X, widths=("int8", "int4"), effort=QUICK)
    text = found.text()
    assert "int4 failed: There is no such kernel." in text
    assert "Agreement of 'scores' on 60 samples (Wilson interval)" in text
    lines = found.to_markdown().splitlines()
    assert len(lines) == 2 + 3
    assert {line.count(" | ") for line in lines} == {10}
    assert lines[2].startswith("| float32 | ")
    assert "exact" in lines[2]
    assert lines[4].startswith("| int4: failed | – |")
    assert "| all but micro (missing here) |" in lines[3]
    assert "micro was not asked: pip it" in text
    pytest.importorskip("matplotlib")
    for name in ("plot.png", "plot.svg"):
        assert found.plot(tmp_path / name).stat().st_size > 5_000
    with pytest.raises(OutputError, match="cannot be written"):
        found.plot(tmp_path / "plot.docx")


def test_widths_under_corruption(
    model: Path, exports: list[str], untimed: None, tmp_path: Path
) -> None:
    """A panel and tables more; a .tflite has no gradient, and the record says so."""
    options: dict[str, Any] = {"evaluate": (X, RANDOM.integers(0, 4, 60)), "effort": QUICK}
    found = compare(model, CALIBRATION, widths=("int8", "int4"), robustness="audio", **options)
    assert found.robustness is not None
    assert [row.name for row in found.robustness.rows] == ["float32", "int8"]
    assert found.robustness.row("int8").clean is not None
    assert found.robustness.attack is None
    assert tg.Comparison.from_json(found.to_json()) == found
    text = found.text()
    assert "mean of corruptions" in text
    assert "Not attacked: a .tflite has no gradient" in text
    assert "Input 'x': audio, as given" in text
    pytest.importorskip("matplotlib")
    assert found.plot(tmp_path / "plot.svg").stat().st_size > 5_000
    before = len(exports)
    with pytest.raises(UsageError, match="does not follow from its values"):
        compare(model, CALIBRATION, robustness=True, **options)
    with pytest.raises(InvalidDataError, match="said to be an image"):
        compare(model, CALIBRATION, robustness="image", **options)
    assert len(exports) == before  # refused before the work


def test_a_record_of_version_1_is_read(model: Path, exports: list[str], untimed: None) -> None:
    found = compare(model, CALIBRATION, evaluate=X, widths=("int8",), effort=QUICK)
    old = json.loads(found.to_json()) | {"schema_version": 1}
    del old["robustness"]
    assert tg.Comparison.from_json(json.dumps(old)).schema_version == 1


def test_a_slow_truth_is_asked_less(
    model: Path, exports: list[str], untimed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are scored on the samples that both answered."""
    monkeypatch.setattr(scoring, "_LEAST_SCORED", 7)
    seconds = {"float32": 0.0, "int8": 1e9}
    honest = trial.run_everywhere

    def slow(file: Any, *rest: Any) -> Any:
        width = "float32" if file.content == float_classifier() else "int8"
        return replace(honest(file, *rest), sample_seconds=seconds[width])

    monkeypatch.setattr(trial, "run_everywhere", slow)
    found = compare(model, CALIBRATION, evaluate=X, widths=("int8",), effort=QUICK)
    assert [row.score_samples for row in found.rows] == [60, 7]
    assert "int8 was scored on 7 of 60 samples: xnnpack is slow." in found.text()
    float_row, int8 = found.rows
    assert float_row.score is not None
    assert float_row.score.value == 1.0  # agreement with itself
    assert int8.difference is not None
    assert int8.score is not None
    assert int8.difference.value == pytest.approx(int8.score.value - 1.0)


def test_a_model_with_trained_steps_is_exported_itself(
    model: Path, untimed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its float file holds them as pairs of QUANTIZE and DEQUANTIZE."""
    tensors = [
        TensorSpec("x", (1, 16), "float32"),
        TensorSpec("stepped", (1, 16), "int8", scale=1 / 128),
        TensorSpec("scores", (1, 16), "float32"),
    ]
    ops = [OpSpec("QUANTIZE", ["x"], ["stepped"]), OpSpec("DEQUANTIZE", ["stepped"], ["scores"])]
    stepped = build(tensors, ops, ["x"], ["scores"])
    sources = []

    def make_bundle(source: Any, *rest: Any) -> Bundle:
        sources.append(source)
        raise ConversionError("Not here.")

    monkeypatch.setattr(trial, "make_bundle", make_bundle)
    for content in (stepped, float_classifier()):
        monkeypatch.setattr(widths, "float_file", lambda *rest, content=content: content)
        compare(model, CALIBRATION, evaluate=X, widths=("int8",), effort=QUICK)
    assert sources[0] == model
    assert Path(sources[1]).name == "float32.tflite"


def test_what_cannot_be_compared_is_refused(model: Path, exports: list[str]) -> None:
    with pytest.raises(UsageError, match="--calibration C.npz --evaluate E.npz"):
        compare(model, CALIBRATION, evaluate=None)
    with pytest.raises(UnknownNameError, match="Unknown width 'int2'"):
        compare(model, CALIBRATION, evaluate=X, widths=("int2",))
    with pytest.raises(InvalidDataError):
        compare(model, CALIBRATION, evaluate=X[:, :3], widths=("int8",))
    with pytest.raises(InvalidDataError, match="no record of `tfgreen compare`"):
        tg.Comparison.from_json("{}")
    assert exports == []


def test_every_width_is_a_profile_of_that_scheme() -> None:
    schemes = {width: load_profile(profile).scheme for width, profile in PROFILES.items()}
    assert schemes == {
        "float16": "float16",
        "dynamic-int8": "dynamic-int8",
        "int8": "int8",
        "int16x8": "int16x8",
        "int4": "weights-int4",
    }


def test_the_command_line_knows_the_same_widths() -> None:
    from tfgreen.cli.compare import _WIDTHS

    assert _WIDTHS == WIDTHS


@pytest.mark.slow
def test_a_trained_model_in_all_widths(keyword_model: TrainedModel, tmp_path: Path) -> None:
    """The whole command: each width is the file that `tfgreen export` makes of the model."""
    command = [sys.executable, "-m", "tfgreen", "compare", str(keyword_model.path), "--json", "-q"]
    command += ["--calibration", str(keyword_model.calibration)]
    command += ["--evaluate", str(keyword_model.evaluation), "--plot", str(tmp_path / "widths.png")]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    found = tg.Comparison.from_json(done.stdout)
    assert [row.width for row in found.rows] == list(WIDTHS)
    assert not [row.message for row in found.rows if row.status == "failed"]
    size = {row.width: row.file_bytes or 0 for row in found.rows}
    assert size["int4"] < size["int8"] < size["float16"] < size["float32"]
    ratio = {row.width: row.sqnr_db or 0.0 for row in found.rows}
    assert ratio["int4"] < ratio["int8"] < ratio["int16x8"]
    assert "xnnpack" in found.row("int8").on("right")
    assert "micro" not in found.row("float16").on("right")
    calibration, evaluation = keyword_model.calibration, keyword_model.evaluation
    bundle = tg.export(keyword_model.path, calibration, evaluate=evaluation, encoding="dense")
    assert found.row("int8").file_bytes == len(bundle.content)
    assert found.row("int8").sqnr_db == bundle.certificate.sqnr_db
    assert (tmp_path / "widths.png").stat().st_size > 10_000
    assert json.loads(done.stdout)["schema_version"] == 2
