"""The fidelity gate on answers that are made up, with numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.errors import UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import Limits, load_profile
from tfgreen.verification import fidelity
from tfgreen.verification.certificate import Check
from tfgreen.verification.fidelity import Answers
from tfgreen.verification.lineup import Lineup

CLASSIFIER = TfliteModel.from_bytes(tiny_models.int8_classifier())
LINEUP = Lineup.of(load_profile("coral-edgetpu-int8"))
FLOAT_SCORES = np.float32([[0.9, 0.1, 0, 0], [0.2, 0.8, 0, 0], [0.6, 0.4, 0, 0], [0, 0, 0, 1]])
SCORES = np.float32([[0.9, 0.1, 0, 0], [0.2, 0.8, 0, 0], [0.4, 0.6, 0, 0], [0, 0, 0, 1]])
FLOAT_LOGITS = np.float32([[3, 4, 0, 0]])


def answers(**changes: Any) -> Answers:
    """One class of four differs; the logits have an SQNR of 20 dB."""
    facts: dict[str, Any] = {
        "outputs": {"reference": (SCORES,)},
        "float_outputs": (FLOAT_SCORES,),
        "logits": (np.float32([[3, 4.5, 0, 0]]),),
        "float_logits": (FLOAT_LOGITS,),
        "labels": {},
        "labelled_from": 0,
        "classifying": frozenset({0}),
    }
    return Answers(**(facts | changes))


def judged(given: Answers, is_other_model: bool = False, **limits: float) -> dict[str, Check]:
    gate = fidelity.judge_fidelity(
        CLASSIFIER, LINEUP, Limits(**limits), given, (), is_other_model=is_other_model
    )
    return {check.name: check for check in gate.checks}


def test_sqnr_before_the_softmax() -> None:
    check = judged(answers(), sqnr_db=20.0)["sqnr"]
    assert check.status == "passed"
    assert check.measured == pytest.approx(20.0)
    assert check.message == (
        "The SQNR of output 'scores' is 20.0 dB, taken at 'logits' (at least 20)."
    )
    assert judged(answers(), sqnr_db=20.1)["sqnr"].status == "failed"


def test_agreement() -> None:
    check = judged(answers(), agreement=0.75)["agreement"]
    assert (check.status, check.measured) == ("passed", 0.75)
    assert judged(answers(), agreement=0.76)["agreement"].status == "failed"
    assert "agreement" not in judged(answers(classifying=frozenset()))


def test_accuracy_may_fall_a_little() -> None:
    given = answers(labels={0: np.array([0, 1, 0, 3])})  # float 4 of 4, the file 3 of 4
    check = judged(given, metric_drop=0.25)["metric"]
    assert (check.status, check.measured) == ("passed", 0.25)
    assert judged(given, metric_drop=0.24)["metric"].status == "failed"
    (metric,) = fidelity.measure_metrics(CLASSIFIER, LINEUP, given)
    assert (metric.kind, metric.float_model) == ("accuracy", 1.0)
    assert metric.kernel_sets == {"reference": 0.75}


def test_a_better_metric_passes() -> None:
    given = answers(labels={0: np.array([0, 1, 1, 3])})  # float 3 of 4, the file 4 of 4
    assert judged(given, metric_drop=0.0)["metric"].measured == -0.25


def test_of_a_model_with_other_weights_the_labels_judge() -> None:
    labelled = answers(labels={0: np.array([0, 1, 1, 3])})  # float 3 of 4, the file 4 of 4
    for given, status in ((labelled, "warning"), (answers(), "failed")):
        checks = judged(given, is_other_model=True, sqnr_db=20.1, agreement=0.76)
        assert checks["sqnr"].status == checks["agreement"].status == status
    worse = answers(labels={0: np.array([0, 1, 0, 3])})
    assert judged(worse, is_other_model=True, metric_drop=0.24)["metric"].status == "failed"
    assert judged(labelled, sqnr_db=20.1)["sqnr"].status == "failed"
    nothing = answers(labels={0: np.arange(4)}, logits=(np.float32([[np.nan, 0, 0, 0]]),))
    assert judged(nothing, is_other_model=True)["sqnr"].status == "failed"


def test_labels_begin_after_the_probe() -> None:
    given = answers(labels={0: np.array([1, 3])}, labelled_from=2)
    (metric,) = fidelity.measure_metrics(CLASSIFIER, LINEUP, given)
    assert (metric.float_model, metric.kernel_sets["reference"]) == (0.5, 1.0)
    assert metric.samples == {"reference": 2, "float": 2}


def test_a_slow_truth_is_compared_with_the_float_model_on_the_same_samples() -> None:
    outputs = {"reference": (SCORES[:3],), "xnnpack": (SCORES,)}
    given = answers(outputs=outputs, labels={0: np.array([0, 1, 0, 3])})
    (metric,) = fidelity.measure_metrics(CLASSIFIER, LINEUP, given)
    assert metric.samples == {"reference": 3, "xnnpack": 4, "float": 3}
    assert metric.kernel_sets["reference"] == pytest.approx(2 / 3)
    assert metric.float_model == 1.0


def test_error_of_a_regression_is_judged_by_the_spread_of_its_labels() -> None:
    labels = np.float32([[0.0] * 4, [1.0] * 4] * 2)  # mean deviation 0.5
    theirs, ours = labels + np.float32(0.1), labels + np.float32(0.15)
    given = answers(
        outputs={"reference": (ours,)},
        float_outputs=(theirs,),
        labels={0: labels},
        classifying=frozenset(),
    )
    check = judged(given, metric_drop=0.11)["metric"]
    assert check.measured == pytest.approx(0.05 / 0.5, rel=1e-5)
    assert check.status == "passed"
    assert judged(given, metric_drop=0.09)["metric"].status == "failed"


def test_the_spread_of_whole_numbers_is_not_rounded() -> None:
    labels = np.array([[0, 0, 0, 3]] * 4)  # mean 0.75, mean deviation (3 * 0.75 + 2.25) / 4
    given = answers(
        outputs={"reference": (labels + 0.5,)},
        float_outputs=(labels + 0.25,),
        labels={0: labels},
        classifying=frozenset(),
    )
    assert judged(given)["metric"].measured == pytest.approx(0.25 / 1.125)


def test_an_exact_file() -> None:
    check = judged(answers(logits=(FLOAT_LOGITS,)))["sqnr"]
    assert (check.status, check.measured) == ("passed", None)
    assert "exactly" in check.message


def test_values_that_are_not_finite_fail() -> None:
    check = judged(answers(logits=(np.float32([[3, np.nan, 0, 0]]),)))["sqnr"]
    assert check.status == "failed"
    assert "not finite" in check.message


def two(names: tuple[str, str], second: tuple[int, ...] = (1, 4)) -> TfliteModel:
    """Two outputs of these names; the second may have another shape."""
    tensors = [TensorSpec(name, (1, 4), "float32") for name in ("x", "a")]
    tensors.append(TensorSpec("b", second, "float32"))
    ops = [OpSpec("ABS", ["x"], ["a"]), OpSpec("NEG", ["x"], ["b"])]
    signature = ({"x": "x"}, dict(zip(names, ("a", "b"), strict=True)))
    return TfliteModel.from_bytes(build(tensors, ops, ["x"], ["a", "b"], signature))


def test_outputs_are_paired_by_name() -> None:
    assert fidelity.paired_outputs(two(("p", "q")), two(("p", "q"))) == (0, 1)
    assert fidelity.paired_outputs(two(("p", "q")), two(("q", "p"))) == (1, 0)


def test_outputs_of_other_names_are_paired_by_order_only_if_their_shapes_differ() -> None:
    wide = (1, 2, 2)
    assert fidelity.paired_outputs(two(("p", "q"), wide), two(("r", "s"), wide)) == (0, 1)
    with pytest.raises(UnsupportedModelError, match="outputs p, q, the float model q, s.*Name"):
        fidelity.paired_outputs(two(("p", "q")), two(("q", "s")))


def test_another_model_is_refused() -> None:
    other = TfliteModel.from_bytes(tiny_models.float_classifier(classes=5))
    with pytest.raises(UnsupportedModelError, match=r"\(1, 4\) in the file and \(1, 5\)"):
        fidelity.paired_outputs(CLASSIFIER, other)


def test_skipped_and_failed() -> None:
    assert fidelity.skipped("No model.").status == "skipped"
    assert fidelity.failed("It died.").status == "failed"
