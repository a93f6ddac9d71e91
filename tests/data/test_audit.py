"""The audit: each defect gives its finding with the numbers, sound data give none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tfgreen.data import (
    Finding,
    Samples,
    audit_calibration,
    audit_classes,
    audit_evaluation,
    refuse_errors,
)
from tfgreen.errors import InvalidDataError
from tfgreen.signature import InputSpec
from tfgreen.wording import share_text

KEYWORDS = Path(__file__).parents[2] / "tfgreen" / "demonstration" / "keywords.npz"
SPEC = InputSpec("image", (12, 12, 1), "float32")
PIXELS = np.mgrid[0:12, 0:12].sum(axis=0)[..., np.newaxis] / 22


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Smooth, different images with values 0..1: a ramp, tilted and shaded by chance."""
    slopes, shades = np.random.default_rng(seed).random((count, 2, 1, 1, 1)).swapaxes(0, 1)
    return (slopes * (PIXELS + shades) / 2).astype("float32")


def samples(array: np.ndarray, labels=None) -> Samples:
    return Samples({"image": array}, {} if labels is None else {"y": np.asarray(labels)})


def audited(calibration: Samples, evaluation: Samples | None = None) -> dict[str, Finding]:
    findings = audit_calibration(calibration, [SPEC], evaluation)
    assert [f.severity for f in findings] == sorted(f.severity for f in findings)
    assert all(finding.message.endswith((".", "?")) for finding in findings)
    json.dumps([finding.to_facts() for finding in findings], allow_nan=False)
    return {finding.code: finding for finding in findings}


SOUND = samples(pictures(64), np.arange(64) % 4)
OTHER = samples(pictures(64, seed=1), np.arange(64) % 4)


def test_sound_data_give_no_finding():
    assert audited(SOUND) == audited(SOUND, OTHER) == {}
    refuse_errors(())


@pytest.mark.parametrize(
    ("array", "code", "told"),
    [
        (pictures(64)[:, :, :, 0], "does-not-fit", "The channel is missing"),
        (pictures(0), "no-samples", "expected at least one sample"),
        (np.full((9, 12, 12, 1), 3.5), "constant-data", "is 3.5 in every value of all 9 samples"),
        (np.repeat(pictures(1), 9, axis=0), "identical-data", "the same in all 9 samples"),
    ],
)
def test_errors(array, code, told):
    finding = audited(samples(array))[code]
    assert finding.severity == "error"
    assert told in finding.message
    with pytest.raises(InvalidDataError, match=told):
        refuse_errors([finding, Finding("warning", "w", "unsaid")])


def test_not_finite_values_are_counted():
    array = pictures(64)
    array[5, 0, 0, 0] = np.nan
    array[7, :2, 0, 0] = np.inf
    finding = audited(samples(array))["not-finite"]
    assert finding.evidence == {"input": "image", "nan": 1, "infinite": 2, "samples": 2}
    assert "first in sample 5" in finding.message
    assert {f.code for f in audit_evaluation(samples(array), [SPEC])} == {"not-finite"}
    assert "not-finite" in audited(SOUND, samples(array))
    assert audit_evaluation(OTHER, [SPEC]) == ()


def test_few_samples():
    finding = audited(samples(pictures(31)))["few-samples"]
    assert finding.severity == "warning"
    assert finding.evidence["samples"] == 31
    assert "few-samples" not in audited(samples(pictures(32)))


@pytest.mark.parametrize("factor", [255, 1 / 255])
def test_unscaled_pixels(factor):
    finding = audited(samples(pictures(64) * factor), OTHER)["values-far-apart"]
    assert finding.severity == "error"
    assert "0..255 or 0..1" in finding.message
    assert str(finding.evidence["evaluation"]).startswith(f"{OTHER.inputs['image'].min():.4g}..")


def test_shifted_values_are_far():
    finding = audited(samples(pictures(64) * 2 - 2), OTHER)["values-far-apart"]
    # All of the evaluation is above 0, and the calibration ends below .1.
    assert float(finding.evidence["evaluation_outside_share"]) > 0.2


def test_clipped_and_too_wide_ranges():
    narrow, wide = samples(pictures(64) * 0.6), samples(pictures(64) * 6 - 1)
    clipped = audited(narrow, OTHER)["values-clipped"]
    limit = 1.1 * narrow.inputs["image"].max()
    share = np.mean(OTHER.inputs["image"] > limit)
    assert clipped.evidence["evaluation_outside_share"] == pytest.approx(share, abs=1e-3)
    assert share_text(share) in clipped.message
    assert audited(wide, OTHER)["values-too-wide"].severity == "warning"


def test_few_evaluation_samples_prove_nothing_about_ranges():
    assert audited(SOUND, samples(pictures(64)[:7] * 0.2)).keys() <= {"overlap"}


def classes_audited(
    labels: np.ndarray, evaluation=None, names=None, class_count: int = 12
) -> list[Finding]:
    held = None if evaluation is None else samples(pictures(64, seed=1), evaluation)
    calibration = replace(samples(pictures(64), labels), label_names=names)
    return list(audit_classes(calibration, {"word": class_count}, held))


def test_classes():
    (one,) = classes_audited(np.full(64, 3))
    assert "class 3 only" in one.message and (one.severity, one.code) == ("warning", "few-classes")
    assert one.evidence == {"label": "word", "classes": 1, "of": 0}
    three = np.arange(64) % 3
    assert classes_audited(three) == []
    assert classes_audited(three, np.arange(64) % 12)[0].evidence["of"] == 12
    assert "3 of 8" in classes_audited(three, names=tuple("abcdefgh"))[0].message


@pytest.mark.parametrize(
    ("labels", "class_count"),
    [
        (np.eye(4)[np.arange(64) % 4], 4),
        (np.ones((64, 3)), 3),
        (np.full(64, 0.5), 1),
        (pictures(64), 1),
        (np.arange(64) % 20 + 20, 1),
        (np.arange(64) % 20 - 1, 100),
    ],
    ids=["one-hot", "many-hot", "regression", "reconstruction", "ages", "below zero"],
)
def test_labels_that_tell_nothing_about_classes(labels, class_count):
    assert classes_audited(labels, np.arange(64), class_count=class_count) == []


def test_one_hot_labels_of_a_single_class():
    (finding,) = classes_audited(np.eye(4)[np.full(64, 2)], class_count=4)
    assert "class 2 only" in finding.message


def test_duplicates_and_overlap():
    repeated = samples(np.concatenate([pictures(50), pictures(14)]))
    assert audited(repeated)["duplicates"].evidence == {"duplicates": 14, "samples": 64}
    assert "duplicates" not in audited(samples(np.concatenate([pictures(60), pictures(4)])))
    both = samples(np.concatenate([pictures(100, seed=1), pictures(2)]))
    evidence = audited(SOUND, both)["overlap"].evidence
    assert evidence == {"shared": 2, "evaluation_samples": 102}
    assert "overlap" not in audited(SOUND, samples(np.concatenate([pictures(200, 1), pictures(1)])))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [10, 64])
@pytest.mark.parametrize("kind", ["uniform", "normal", "pixels"])
def test_noise_looks_random(kind, count, seed):
    random = np.random.default_rng(seed)
    shape = (count, *SPEC.shape)
    noise = {
        "uniform": random.random(shape),
        "normal": random.normal(3, 2, shape),
        "pixels": random.integers(0, 256, shape, dtype=np.uint8),
    }[kind]
    finding = audited(samples(noise))["random-data"]
    assert finding.severity == "warning"
    assert finding.evidence["distribution"] == ("normal" if kind == "normal" else "uniform")


@pytest.mark.parametrize("seed", range(5))
def test_structure_does_not_look_random(seed):
    random = np.random.default_rng(seed)
    noise = random.normal(size=(64, *SPEC.shape))
    for structured in (
        noise + 2 * PIXELS,  # a pattern common to all samples
        noise + random.normal(size=(64, 1, 1, 1)),  # brightness
        np.cumsum(noise, axis=1),  # neighbours go together
        noise**3,  # another distribution
        (noise > 0).astype("float32"),
    ):
        assert "random-data" not in audited(samples(structured))


@pytest.mark.parametrize(("length", "told"), [(63, False), (64, True)])
def test_short_vectors_may_be_standardised_features(length, told):
    spec = InputSpec("features", (length,), "float32")
    noise = Samples({"features": np.random.default_rng(0).normal(size=(100, length))})
    assert [f.code for f in audit_calibration(noise, [spec])] == ["random-data"] * told


def test_tokens_have_no_scale():
    spec = InputSpec("tokens", (32,), "int32")
    random = np.random.default_rng(0)
    tokens = Samples({"tokens": random.integers(0, 1000, (64, 32))})
    few = Samples({"tokens": random.integers(0, 50, (64, 32))})
    assert audit_calibration(few, [spec], tokens) == ()


def test_one_constant_input_beside_a_varied_one_is_a_warning():
    specs = [SPEC, InputSpec("mode", (1,), "float32")]
    both = Samples({"image": pictures(64), "mode": np.ones((64, 1), "float32")})
    findings = audit_calibration(both, specs)
    assert [(f.code, f.severity) for f in findings] == [("constant-data", "warning")]


def test_real_keyword_features_are_sound():
    with np.load(KEYWORDS) as archive:
        features = archive["x_train"].astype("float32")
        labels = archive["y_train"]
    every = max(1, len(features) // 200)
    spec = InputSpec("mfcc", features.shape[1:], "float32")
    calibration = Samples({"mfcc": features[::every]}, {"y": labels[::every]})
    evaluation = Samples({"mfcc": features[1::every]}, {"y": labels[1::every]})
    assert audit_calibration(calibration, [spec], evaluation) == ()
