"""The runtime gate on outputs that are made up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import Limits, load_profile
from tfgreen.verification.certificate import Check, RuntimeResult
from tfgreen.verification.lineup import Lineup
from tfgreen.verification.runtime import EndToEnd, compare_runs, judge_runtime

CLASSIFIER = TfliteModel.from_bytes(tiny_models.int8_classifier())
LINEUP = Lineup.of(load_profile("coral-edgetpu-int8"))  # reference; optimized, xnnpack
TRUTH = np.int8([[[10, -20, -100, -100]], [[0, 1, -100, -100]], [[5, 0, -100, -100]]] * 2)


def runs(outputs: Mapping[str, np.ndarray], **options: Any) -> EndToEnd:
    facts = {"problems": {}, "batch": 1, "classifying": frozenset({0}), "is_made_up": False}
    return EndToEnd({name: (array,) for name, array in outputs.items()}, **(facts | options))


def judged(found: EndToEnd, limits: Limits | None = None) -> list[Check]:
    return list(judge_runtime(CLASSIFIER, LINEUP, limits or Limits(), found).checks)


def changed() -> np.ndarray:
    """Sample 0 moves by 2 quanta; sample 1 by 3, and its class changes from 1 to 0."""
    other = TRUTH.copy()
    other[0, 0, 0] -= 2
    other[1, 0, :2] = [3, -2]
    return other


def test_shares_steps_and_classes() -> None:
    found = runs({"reference": TRUTH, "optimized": TRUTH, "xnnpack": changed()})
    same, other = compare_runs(CLASSIFIER, LINEUP, found)
    assert same == RuntimeResult(
        kernel_set="optimized", output="scores", samples=6,
        differing_share=0.0, max_quanta=0.0, argmax_share=0.0,
    )  # fmt: skip
    assert other == RuntimeResult(
        kernel_set="xnnpack", output="scores", samples=6,
        differing_share=2 / 6, max_quanta=3.0, argmax_share=1 / 6,
    )  # fmt: skip


def test_the_share_of_changed_classes_is_limited() -> None:
    found = runs({"reference": TRUTH, "xnnpack": changed()})
    fine = judged(found, Limits(runtime_argmax_share=1 / 6))
    assert [c.status for c in fine] == ["passed", "passed"]
    check = judged(found, Limits(runtime_argmax_share=0.1))[1]
    assert check.status == "failed"
    assert check.message == (
        "xnnpack against the truth: 2 of 6 samples differ, by at most 3 quanta; the class "
        "changes for 1 (16.7 %, limit 10.0 %)."
    )


def test_steps_are_limited_where_the_profile_says_so() -> None:
    found = runs({"reference": TRUTH, "xnnpack": changed()}, classifying=frozenset())
    assert judged(found)[1].status == "passed"
    assert judged(found, Limits(runtime_quanta=3))[1].status == "passed"
    check = judged(found, Limits(runtime_quanta=2))[1]
    assert (check.status, check.measured, check.limit) == ("failed", 3.0, 2)


def test_without_classes_the_signal_has_to_stay() -> None:
    """All 127 where the truth is all -128: each lies the whole range of the dtype away."""
    low, high = np.full_like(TRUTH, -128), np.full_like(TRUTH, 127)
    for truth, other in ((low, high), (high, low)):
        found = runs({"reference": truth, "xnnpack": other}, classifying=frozenset())
        check = judged(found)[1]
        assert (check.status, check.limit, check.unit) == ("failed", 10, "dB")
        assert "by at most 255 quanta; the SQNR is" in check.message


def test_a_single_quantum_is_no_noise_of_an_output_that_is_all_but_zero() -> None:
    zero = np.full_like(TRUTH, -128)  # the zero point
    found = runs({"reference": zero, "xnnpack": zero + np.int8(1)}, classifying=frozenset())
    assert judged(found)[1].status == "passed"
    found = runs({"reference": zero, "xnnpack": zero + np.int8(2)}, classifying=frozenset())
    assert judged(found)[1].status == "failed"


def test_made_up_inputs_decide_nothing() -> None:
    found = runs({"reference": TRUTH, "xnnpack": changed()}, is_made_up=True)
    check = judged(found, Limits(runtime_argmax_share=0.0))[1]
    assert check.status == "warning"
    assert "made up" in check.message


def test_slow_kernel_sets_may_have_run_fewer() -> None:
    found = runs({"reference": TRUTH[:2], "xnnpack": changed()})
    (result,) = compare_runs(CLASSIFIER, LINEUP, found)
    assert (result.samples, result.differing_share) == (2, 1.0)


def test_the_truth_has_to_run() -> None:
    found = runs({"xnnpack": TRUTH}, problems={"reference": ("failed", "It refused.")})
    check = judged(found)[0]
    assert check.status == "failed"
    assert check.message == "The truth 'reference' did not run the file: It refused."


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("unregistered", "warning"),
        ("failed", "warning"),
        ("crashed", "failed"),
        ("timed-out", "warning"),
    ],
)
def test_others_may_refuse_but_not_die(status: str, expected: str) -> None:
    found = runs({"reference": TRUTH}, problems={"xnnpack": (status, "Why.")})
    assert [c.status for c in judged(found)] == ["passed", expected]


@pytest.mark.parametrize(("name", "status"), [("reference", "failed"), ("xnnpack", "warning")])
def test_too_little_time_names_the_way_out(name: str, status: str) -> None:
    outputs = {"reference": TRUTH, "xnnpack": TRUTH}
    del outputs[name]
    check = judged(runs(outputs, problems={name: ("timed-out", "No answer within 600 s.")}))[-1]
    assert check.status == status and "--samples" in check.message


def test_a_single_score_changes_at_one_half() -> None:
    tensors = [
        TensorSpec("x", (1, 1), scale=0.1),
        TensorSpec("y", (1, 1), scale=1 / 256, zero_point=-128),  # 0 is one half
    ]
    content = build(tensors, [OpSpec("LOGISTIC", ["x"], ["y"])], ["x"], ["y"])
    truth, other = np.int8([[[1]], [[1]], [[-5]]]), np.int8([[[2]], [[-1]], [[-4]]])
    found = runs({"reference": truth, "xnnpack": other})
    (result,) = compare_runs(TfliteModel.from_bytes(content), LINEUP, found)
    assert result.argmax_share == pytest.approx(1 / 3)


def test_float_outputs_count_shares_of_their_range() -> None:
    model = TfliteModel.from_bytes(tiny_models.float_add())
    truth = np.linspace(0, 1, 8, dtype=np.float32).reshape(2, 1, 4)
    other = truth.copy()
    other[0, 0, 1] += 5e-6  # half a quantum: no difference
    other[1, 0, 1] += 2e-5  # two
    found = runs({"reference": truth, "xnnpack": other}, classifying=frozenset())
    (result,) = compare_runs(model, LINEUP, found)
    assert result.differing_share == 0.5
    assert result.max_quanta == pytest.approx(2.0, rel=1e-2)


def test_values_that_are_not_finite_fail() -> None:
    model = TfliteModel.from_bytes(tiny_models.float_add())
    truth = np.ones((2, 1, 4), np.float32)
    other = np.where(np.arange(4) == 0, np.nan, truth).astype(np.float32)
    found = runs({"reference": truth, "xnnpack": other}, classifying=frozenset())
    (result,) = compare_runs(model, LINEUP, found)
    assert result.max_quanta is None
    gate = judge_runtime(model, LINEUP, Limits(), found)
    assert gate.status == "failed"
    assert "not finite" in gate.checks[1].message
