"""`tg.repair`: which files it takes, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tfgreen as tg
from tests.certificates import certificate_of
from tests.encodings.networks import layer
from tests.tflite.chained_networks import RELU, images, separable
from tests.tiny_models import int8_classifier
from tfgreen import mending
from tfgreen.bundle import Bundle, Golden
from tfgreen.data import Samples
from tfgreen.encodings.candidates import candidate
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import load_profile
from tfgreen.verification.repair import Repaired
from tfgreen.verification.repair.record import RepairRecord, Score, Step


def test_a_file_needs_the_model_that_it_should_equal(tmp_path: Path) -> None:
    path = tmp_path / "other.tflite"
    path.write_bytes(int8_classifier())
    with pytest.raises(tg.UsageError, match="--against MODEL"):
        tg.repair(path, np.zeros((4, 4), np.float32))


def test_a_float_file_and_an_object_are_models(tmp_path: Path) -> None:
    path = tmp_path / "float.tflite"
    path.write_bytes(separable(RELU))
    assert mending._quantized(path) == (None, None)
    assert mending._quantized(object()) == (None, None)


def test_a_bundle_is_taken_as_an_object_and_as_a_folder(tmp_path: Path) -> None:
    bundle = Bundle(int8_classifier(), certificate_of(int8_classifier()), load_profile())
    folder = bundle.save(tmp_path / "bundle")
    assert mending._quantized(bundle) == (bundle.content, bundle)
    content, read = mending._quantized(str(folder))
    assert content == bundle.content
    assert read is not None
    assert read.profile == bundle.profile


def test_a_model_is_exported_with_repair(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = {}

    def make_bundle(model, calibration, profile, evaluate, options, on_progress):  # type: ignore[no-untyped-def]
        asked.update(profile=profile.name, repair=options.repair)
        return "bundle"

    monkeypatch.setattr(mending, "make_bundle", make_bundle)
    path = tmp_path / "float.tflite"
    path.write_bytes(separable(RELU))
    assert tg.repair(path, images(4)[:, 0], profile="mobile-weights-int4") == "bundle"
    assert asked == {"profile": "mobile-weights-int4", "repair": True}


@pytest.mark.parametrize("changed", [False, True])
def test_a_file_that_stays_as_it_is_keeps_its_encoding(
    monkeypatch: pytest.MonkeyPatch, changed: bool
) -> None:
    dense = layer("conv", "int8", zeros=0.8, values=5)
    packed = candidate(TfliteModel.from_bytes(dense), "lut")
    assert packed is not None
    score = Score(5.0, None, True, 1000)
    step = Step("bias", "bias correction", changed, "Done.", score, score)
    samples = Samples({"x": np.zeros((4, 1), np.float32)})
    repaired = Repaired(dense, b"", RepairRecord(score, score, (step,), 4, False, True, ""))
    seen: list[bytes] = []
    monkeypatch.setattr(mending, "float_file", lambda *given: b"")
    monkeypatch.setattr(mending, "_samples", lambda *given: (samples, None))
    monkeypatch.setattr(mending, "repair_file", lambda *given: repaired)
    target = SimpleNamespace(on=lambda certificate: certificate, files={})
    monkeypatch.setattr(mending, "examine", lambda *given, **more: target)
    monkeypatch.setattr(mending, "golden_vectors", lambda content, *given: Golden())
    monkeypatch.setattr(
        mending, "certify", lambda content, *given, **more: seen.append(content)
        or certificate_of(content),
    )  # fmt: skip
    given = Bundle(
        packed.content,
        certificate_of(packed.content),
        load_profile(),
        facts={"encoding": {"encoding": "lut"}, "model": {}},
    )
    bundle = tg.repair(given, None, against="model.keras")
    assert bundle.content == (dense if changed else packed.content)
    assert seen == [bundle.content]
    assert ("encoding" in bundle.facts) is not changed
    assert "model" in bundle.facts


def test_bytes_are_a_file() -> None:
    assert mending._quantized(int8_classifier()) == (int8_classifier(), None)
