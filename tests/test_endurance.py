"""`tfgreen.robustness`: a Keras model, its files, attacks in a child process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfgreen as tg
from tests.certificates import certificate_of
from tests.conftest import TrainedModel
from tests.tiny_models import float_classifier, int8_classifier
from tfgreen.bundle import Bundle
from tfgreen.errors import InvalidDataError, MissingPathError, UnknownNameError, UsageError
from tfgreen.profile import load_profile

X = np.random.default_rng(5).uniform(-1, 1, (40, 16)).astype(np.float32)
DATA = (X, np.arange(40) % 4)
QUICK: dict[str, Any] = {"kind": "audio", "attacks": (), "corruptions": ("gain",)}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.tflite"
    path.write_bytes(float_classifier())
    return path


def test_a_keras_model_is_attacked(keyword_model: TrainedModel) -> None:
    """PGD is at least as strong as FGSM, stronger attacks are worse, and all of it is told."""
    steps: list[str] = []
    found = tg.robustness(
        keyword_model.path,
        {"int8": int8_classifier()},
        keyword_model.evaluation,
        kind="audio",
        corruptions=("noise",),
        samples=64,
        on_progress=lambda step, done, of: steps.append(step),
    )
    floats = found.row("float32")
    assert found.samples == 64
    assert found.attack is not None
    assert (found.attack.steps, found.attack.step_share) == (10, 0.25)
    assert found.attack.loss == "cross-entropy, from before the softmax"
    pgd = [floats.at(severity, "pgd").score.value for severity in range(1, 6)]
    fgsm = [floats.at(severity, "fgsm").score.value for severity in range(1, 6)]
    assert pgd[-1] < floats.at(0).score.value
    assert pgd[-1] <= fgsm[-1]
    assert pgd[-1] <= pgd[0]
    (facts,) = [one for one in found.conditions if one.name == "pgd"]
    assert facts.is_attack
    assert facts.amounts[2] == pytest.approx(2 / 255)
    assert floats.at(3).score == floats.at(3, "noise").score  # attacks are not in the mean
    assert found.row("int8").status == "failed"  # a file of another model
    assert any("attacking by pgd" in step for step in steps)
    assert tg.Robustness.from_json(found.to_json()) == found


def test_files_and_bundles(model: Path, tmp_path: Path) -> None:
    content = int8_classifier()
    bundle = Bundle(content, certificate_of(content), load_profile("mobile-int8"))
    bundle.save(tmp_path / "bundle")
    (tmp_path / "kws.tflite").write_bytes(content)
    given = [content, tmp_path / "kws.tflite", bundle, tmp_path / "bundle"]
    found = tg.robustness(model, given, DATA, **QUICK)
    names = ["float32", "file 1", "kws", "mobile-int8", "bundle"]
    assert [row.name for row in found.rows] == names
    scores = {name: found.row(name).at(3).score for name in names[1:]}
    assert len(set(map(str, scores.values()))) == 1
    alone = tg.robustness(model, tmp_path / "kws.tflite", DATA, **QUICK, profile="ethos-u55-int8")
    assert alone.row("kws").truth == "reference"


@pytest.mark.parametrize(
    ("files", "data", "choices", "error", "message"),
    [
        ([], DATA, {}, UsageError, "Received no file"),
        ({"float32": int8_classifier()}, DATA, {}, UsageError, "is the float model's row"),
        ("none.tflite", DATA, {}, MissingPathError, "There is no file or bundle none.tflite"),
        (int8_classifier(), (X[:, :3], DATA[1]), {}, InvalidDataError, "shape"),
        (int8_classifier(), DATA, {"samples": 0}, UsageError, "samples=0"),
        (int8_classifier(), DATA, {"kind": "smell"}, UnknownNameError, "kind of data 'smell'"),
        (int8_classifier(), DATA, {"kind": None}, UsageError, "does not follow"),
    ],
)
def test_what_cannot_be_measured(
    model: Path, files: Any, data: Any, choices: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        tg.robustness(model, files, data, **{**QUICK, **choices})


def test_two_files_of_one_name(model: Path, tmp_path: Path) -> None:
    paths = [tmp_path / name / "model.tflite" for name in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(int8_classifier())
    with pytest.raises(UsageError, match="Two files have the same name"):
        tg.robustness(model, paths, DATA, **QUICK)
    named = dict(zip(("a", "b"), paths, strict=True))
    assert len(tg.robustness(model, named, DATA, **QUICK).rows) == 3
