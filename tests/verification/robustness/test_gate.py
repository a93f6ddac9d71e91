"""A profile's limit for worse data, in the fidelity gate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tests.tiny_models import float_classifier, int8_classifier
from tfgreen.data import Samples
from tfgreen.profile import ExportProfile, RobustnessLimit, load_profile
from tfgreen.verification import certify
from tfgreen.verification.certificate import Check

RANDOM = np.random.default_rng(5)
X = RANDOM.uniform(-1, 1, (80, 16)).astype(np.float32)


def profile(**limit: Any) -> ExportProfile:
    return load_profile().model_copy(update={"robustness": RobustnessLimit(**limit)})


def labels(x: np.ndarray) -> np.ndarray:
    """What the float model says."""
    from tfgreen.flatbuffer import TfliteModel
    from tfgreen.runtimes import Task, quantize_inputs, run_tasks

    model = TfliteModel.from_bytes(float_classifier())
    task = Task("file", model.content, quantize_inputs(model, Samples({"x": x})))
    return np.asarray(run_tasks("xnnpack", [task])[0].outputs[0].reshape(len(x), -1).argmax(-1))


def check(rules: ExportProfile, samples: Samples | None, floats: bytes | None) -> Check | None:
    found = certify(
        int8_classifier(), rules, float_content=floats, samples=samples, metric_samples=samples
    )
    checks = [one for one in found.gate("fidelity").checks if one.name == "robustness"]
    return checks[0] if checks else None


def test_the_drop_is_held_against_the_limit() -> None:
    samples = Samples({"x": X}, {"y": labels(X)})
    found = check(profile(drop=1.0, kind="audio"), samples, float_classifier())
    assert found is not None
    assert found.status == "passed"
    assert (found.limit, found.kernel_set, found.unit) == (1.0, "xnnpack", "drop")
    assert "severity 3 (mean of 4 kinds, 80 samples)" in found.message
    assert isinstance(found.measured, float)
    hard = np.full(len(X), 0)
    always = (labels(X) == 0).mean()  # of the file the same within a few
    assert 0 < always < 1
    strict = check(
        profile(drop=0.0, kind="audio", severity=5),
        Samples({"x": X}, {"y": hard}),
        float_classifier(),
    )
    assert strict is not None
    assert isinstance(strict.measured, float)
    assert strict.status == ("passed" if strict.measured <= 0 else "failed")


def test_a_drop_beyond_the_limit_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    from tfgreen.verification.robustness import gate

    honest = gate.measure_robustness

    def worse(*given: Any, **choices: Any) -> Any:
        """As if the file were right on no sample at all."""
        found = honest(*given, **choices)
        floats, file = found.rows
        none = file.means[0].score.model_copy(update={"value": 0.0, "low": 0.0, "high": 0.0})
        theirs = floats.means[0].score.value
        lost = none.model_copy(update={"value": -theirs, "low": -theirs, "high": -theirs})
        mean = file.means[0].model_copy(update={"score": none, "difference": lost})
        rows = (floats, file.model_copy(update={"means": (mean,)}))
        return found.model_copy(update={"rows": rows})

    monkeypatch.setattr(gate, "measure_robustness", worse)
    samples = Samples({"x": X}, {"y": labels(X)})
    rules = profile(drop=0.05, kind="audio")
    found = certify(
        int8_classifier(),
        rules,
        float_content=float_classifier(),
        samples=samples,
        metric_samples=samples,
    )
    assert found.verdict == "failed"
    (failed,) = [one for one in found.failed_checks if one.name == "robustness"]
    assert "it may be 5.0 below" in failed.message


@pytest.mark.parametrize(
    ("samples", "limit", "floats", "status", "message"),
    [
        (Samples({"x": X}), {"kind": "audio"}, True, "warning", "no labels were given"),
        (Samples({"x": X}, {"y": X[:, 0] > 0}), {}, True, "warning", "`robustness.kind`"),
        (Samples({"x": X}), {"kind": "audio"}, False, "skipped", "no float model"),
    ],
)
def test_what_is_missing_is_told(
    samples: Samples, limit: dict[str, Any], floats: bool, status: str, message: str
) -> None:
    found = check(profile(drop=0.1, **limit), samples, float_classifier() if floats else None)
    assert found is not None
    assert found.status == status
    assert message in found.message


def test_without_a_limit_nothing_is_measured() -> None:
    assert check(load_profile(), Samples({"x": X}), float_classifier()) is None


@pytest.mark.parametrize("limit", [{"drop": 2.0}, {"drop": 0.1, "severity": 6}, {"kind": "audio"}])
def test_limits_that_are_none(limit: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RobustnessLimit(**limit)
