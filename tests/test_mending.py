"""`tg.repair`: which files it takes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tfgreen as tg
from tests.certificates import certificate_of
from tests.tflite.chained_networks import RELU, images, separable
from tests.tiny_models import int8_classifier
from tfgreen import mending
from tfgreen.bundle import Bundle
from tfgreen.profile import load_profile


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
