"""Scores under corruption against NumPy's, and what a record tells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.tiny_models import custom_op, float_classifier, int8_classifier
from tfgreen.data import Samples
from tfgreen.errors import InvalidDataError, UnknownNameError, UsageError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.runtimes import Task, quantize_inputs, run_tasks
from tfgreen.verification.robustness import Plan, Robustness, Subject, measure_robustness, running
from tfgreen.verification.robustness.corruptions import SEVERITIES, catalogue, corrupted
from tfgreen.verification.robustness.kinds import Reference

RANDOM = np.random.default_rng(5)
X = RANDOM.uniform(-1, 1, (60, 16)).astype(np.float32)
LABELS = RANDOM.integers(0, 4, 60)
SAMPLES = Samples({"x": X}, {"y": LABELS}, "the test's own")
PLAN = Plan(kind="audio", attacks=(), seed=7)


@pytest.fixture(scope="module")
def record() -> Robustness:
    files = [
        Subject("same", float_classifier(), "xnnpack"),
        Subject("int8", int8_classifier(), "xnnpack"),
        Subject("broken", custom_op(), "xnnpack"),
    ]
    return measure_robustness(float_classifier(), files, SAMPLES, PLAN)


def right(content: bytes, x: np.ndarray) -> np.ndarray:
    """By hand: which samples a file labels rightly."""
    model = TfliteModel.from_bytes(content)
    task = Task("file", content, quantize_inputs(model, Samples({"x": x})))
    (outcome,) = run_tasks("xnnpack", [task])
    scores: np.ndarray = outcome.outputs[0].reshape(len(x), -1)
    return np.asarray(scores.argmax(-1) == LABELS)


def test_the_scores_are_those_of_the_corrupted_samples(record: Robustness) -> None:
    reference = Reference.of("x", X, "audio")
    worse = {one.name: corrupted(X, one, 4, reference, seed=7) for one in catalogue("audio", (16,))}
    means: dict[str, list[np.ndarray]] = {"float32": [], "int8": []}
    for name, content in (("float32", float_classifier()), ("int8", int8_classifier())):
        row = record.row(name)
        assert row.at(0).score.value == pytest.approx(right(content, X).mean())
        for corruption, x in worse.items():
            means[name].append(right(content, x).astype(float))
            assert row.at(4, corruption).score.value == pytest.approx(means[name][-1].mean())
        assert row.at(4).score.value == pytest.approx(np.mean(means[name]))
    int8 = record.row("int8").at(4)
    apart = np.mean(means["int8"], 0) - np.mean(means["float32"], 0)
    clean = right(int8_classifier(), X).astype(float) - right(float_classifier(), X)
    assert int8.difference is not None
    assert int8.cost is not None
    assert int8.difference.value == pytest.approx(apart.mean())
    assert int8.cost.value == pytest.approx((apart - clean).mean())
    assert int8.cost.low <= int8.cost.value <= int8.cost.high


def test_a_file_that_is_the_float_model_costs_nothing(record: Robustness) -> None:
    same, floats = record.row("same"), record.row("float32")
    for ours, theirs in zip(same.scores, floats.scores, strict=True):
        assert ours.score == theirs.score
        assert ours.difference is not None
        assert (ours.difference.low, ours.difference.high) == (0.0, 0.0)
    assert floats.at(3).difference is None
    assert [score.severity for score in same.means] == list(SEVERITIES)


def test_a_file_that_does_not_run_keeps_its_row(record: Robustness) -> None:
    row = record.row("broken")
    assert row.status == "failed"
    assert row.message
    assert row.scores == ()
    assert f"broken was not measured: {row.message[:20]}" in " ".join(record.text().split())


def test_what_a_record_tells(record: Robustness, tmp_path: Path) -> None:
    assert Robustness.from_json(record.to_json()) == record
    assert record.samples == 60
    assert record.samples_sha256 == SAMPLES.sha256()
    assert record.score_kind == "accuracy"
    assert [one.name for one in record.conditions] == ["noise", "gain", "time-shift", "band-limit"]
    assert record.inputs[0].how == "as given"
    text = str(record)
    for words in ("mean of corruptions", "beyond the clean loss", "at severity 3", "60 samples"):
        assert words in text
    with pytest.raises(InvalidDataError, match="There is no file 'int4' here"):
        record.row("int4")
    with pytest.raises(InvalidDataError, match="no score of 'fog' at severity 3"):
        record.row("int8").at(3, "fog")
    pytest.importorskip("matplotlib")
    assert record.plot(tmp_path / "plot.svg").stat().st_size > 5_000


def test_the_same_seed_gives_the_same_record(record: Robustness) -> None:
    again = measure_robustness(
        float_classifier(), [Subject("int8", int8_classifier(), "xnnpack")], SAMPLES, PLAN
    )
    assert again.row("int8") == record.row("int8")
    assert np.array_equal(SAMPLES.inputs["x"], X)
    assert np.array_equal(SAMPLES.labels["y"], LABELS)


def test_a_slow_kernel_set_scores_fewer_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """The difference is then that on the samples which both scored."""
    plan = Plan(kind="audio", attacks=(), corruptions=("gain",), severities=(3,))
    honest = running.seconds_of
    slow: set[bytes] = {TfliteModel.from_bytes(int8_classifier()).content}
    monkeypatch.setattr(
        running,
        "seconds_of",
        lambda model, *rest: 1e9 if model.content in slow else honest(model, *rest),
    )
    found = measure_robustness(
        float_classifier(), [Subject("int8", int8_classifier(), "xnnpack")], SAMPLES, plan
    )
    row = found.row("int8")
    assert row.samples == 50
    assert [(score.condition, score.severity) for score in row.scores] == [("gain", 3)]
    rows = np.round(np.linspace(0, 59, 50)).astype(int)
    expected = right(int8_classifier(), X)[rows].mean() - right(float_classifier(), X)[rows].mean()
    assert row.clean is not None
    assert row.clean.difference is not None
    assert row.clean.difference.value == pytest.approx(expected)
    assert "int8 was scored on 50 of 60 samples: xnnpack is slow." in found.text()


def test_without_labels_the_float_models_classes_are_asked_for() -> None:
    plan = Plan(kind="audio", attacks=("pgd",), corruptions=("noise",), severities=(1, 5))
    found = measure_robustness(float_classifier(), [], Samples({"x": X}), plan)
    assert found.score_kind == "agreement"
    assert found.row("float32").at(0).score.value == 1.0
    assert found.row("float32").at(5).score.value < 1.0
    assert "Agreement with the float model's clean classes" in found.text()
    assert any("a .tflite has no gradient" in note for note in found.notes)


def test_float_labels_give_an_error_that_grows() -> None:
    """The error of 4 outputs against what the float model itself says."""
    model = TfliteModel.from_bytes(float_classifier())
    (outcome,) = run_tasks(
        "xnnpack", [Task("file", model.content, quantize_inputs(model, Samples({"x": X})))]
    )
    labels = outcome.outputs[0].reshape(60, -1)
    plan = Plan(kind="audio", corruptions=("noise",))
    found = measure_robustness(
        float_classifier(), [Subject("int8", int8_classifier(), "xnnpack")],
        Samples({"x": X}, {"y": labels}), plan,
    )  # fmt: skip
    errors = [found.row("float32").at(severity).score.value for severity in (0, *SEVERITIES)]
    assert errors[0] == pytest.approx(0.0, abs=1e-6)
    assert errors == sorted(errors)
    assert "Mean absolute error" in found.text()


@pytest.mark.parametrize(
    ("choices", "error"),
    [
        ({"kind": None}, UsageError),
        ({"attacks": ("deepfool",)}, UnknownNameError),
        ({"corruptions": ("fog",)}, UnknownNameError),
        ({"ranges": {"y": (0.0, 1.0)}}, UnknownNameError),
        ({"seed": -1}, UsageError),
        ({"seed": 0.5}, UsageError),
        ({"attacks": "pgd"}, UsageError),
        ({"corruptions": "noise"}, UsageError),
        ({"severities": (0,)}, UsageError),
        ({"severities": (3, 6)}, UsageError),
        ({"severities": ()}, UsageError),
        ({"severities": (3, 3)}, UsageError),
        ({"kind": "image"}, InvalidDataError),
    ],
)
def test_what_cannot_be_measured(choices: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        plan = Plan(**{"kind": "audio", "attacks": (), **choices})  # type: ignore[arg-type]
        measure_robustness(float_classifier(), [], SAMPLES, plan)


def test_two_images_of_other_sizes_are_told_apart() -> None:
    """Small and large images take other amounts; the record holds one list, and a note."""
    from tfgreen.verification.robustness.conditions import Conditions

    inputs = {"a": RANDOM.random((2, 90, 90, 1)), "b": RANDOM.random((2, 8, 8, 1))}
    plan = Plan(kind={"a": "image", "b": "image"}, corruptions=("contrast",), attacks=())
    conditions = Conditions(Samples(inputs), plan)
    (facts,) = conditions.facts
    assert facts.amounts == (0.75, 0.5, 0.4, 0.3, 0.15)
    assert conditions.notes == [
        "Input 'a' takes other amounts of contrast: 0.4, 0.3, 0.2, 0.1, 0.05."
    ]
