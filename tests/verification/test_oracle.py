"""The NumPy interpreter as the oracle: believed, told, and never in the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import ExportProfile, load_profile
from tfgreen.runtimes import Outcome, Task, run_tasks
from tfgreen.verification import Certificate, certify, execution
from tfgreen.verification.op_trial import OpTrial
from tfgreen.verification.oracle import misled, op_rounding

CLASSIFIER = tiny_models.int8_classifier()


def judge(content: bytes, profile: Any = "mobile-int8", **options: Any) -> Certificate:
    return certify(content, load_profile(profile), sample_limit=8, **options)


def with_sets(truth: str, *compared: str) -> ExportProfile:
    fields = load_profile("mobile-int8").model_dump()
    fields["kernel_sets"] = {"truth": truth, "compared": compared}
    return ExportProfile.model_validate(fields)


def two_scales(op: str) -> bytes:
    """One op that has to rescale."""
    tensors = [TensorSpec("x", (1, 8), scale=0.1), TensorSpec("y", (1, 8), scale=0.2)]
    return build(tensors, [OpSpec(op, ["x"], ["y"])], ["x"], ["y"])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Task]]:
    """Every task with the kernel set that ran it."""
    seen: list[tuple[str, Task]] = []

    def recorded(name: str, tasks: Sequence[Task], **options: Any) -> list[Outcome]:
        seen.extend((name, task) for task in tasks)
        return run_tasks(name, tasks, **options)

    monkeypatch.setattr(execution, "run_tasks", recorded)
    return seen


def test_it_is_told_beside_the_others() -> None:
    certificate = judge(CLASSIFIER)
    assert certificate.kernel_sets["numpy"].role == "oracle"
    own = [k for k in certificate.kernels if k.kernel_set == "numpy"]
    assert [(k.status, k.max_quanta) for k in own] == [("ok", None), ("ok", None)]
    truth = [k for k in certificate.kernels if k.kernel_set == "xnnpack"]
    assert all(k.max_quanta is not None for k in truth), "the truth is held against it too"
    assert any("rounding of the xnnpack kernels" in note for note in certificate.notes)
    assert Certificate.from_json(certificate.to_json()) == certificate


def test_float_activations_need_none() -> None:
    certificate = judge(tiny_models.float_add(), "mobile-float16")
    assert "numpy" not in certificate.kernel_sets
    assert certificate.saturation == ()


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("mobile-int8", "xnnpack"),
        ("ethos-u55-int8", "reference"),
        ("microcontroller-int8", "micro"),
        (with_sets("optimized"), "reference"),
        (with_sets("numpy"), "reference"),
    ],
)
def test_it_rounds_as_the_truth(profile: Any, expected: str, asked: list[tuple[str, Task]]) -> None:
    judge(CLASSIFIER, profile)
    roundings = {task.rounding for name, task in asked if name == "numpy"}
    assert roundings == {expected}


@pytest.mark.parametrize(
    ("truth", "op", "expected"),
    [
        ("xnnpack", "RELU", "xnnpack"),
        ("xnnpack", "NEG", "micro"),  # NEG is wrong on all LiteRT kernels
        ("reference", "NEG", "micro"),
        ("micro", "RELU6", "reference"),  # it rescales, which TFLM does not
        ("reference", "RELU6", "reference"),
    ],
)
def test_it_reproduces_no_quirk(truth: str, op: str, expected: str) -> None:
    model = TfliteModel.from_bytes(two_scales(op))
    assert op_rounding(truth, model, model.ops[0]) == expected
    assert misled(model) is None


def test_it_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kernel set agrees here, and the oracle says otherwise."""

    def contradicting(name: str, tasks: Sequence[Task], **options: Any) -> list[Outcome]:
        outcomes = run_tasks(name, tasks, **options)
        if name != "numpy":
            return outcomes
        return [replace(o, outputs=tuple(a ^ np.int8(64) for a in o.outputs)) for o in outcomes]

    monkeypatch.setattr(execution, "run_tasks", contradicting)
    certificate = judge(CLASSIFIER)
    wrong = {k.kernel_set for k in certificate.kernels if k.status == "beyond-limit"}
    assert wrong == {"xnnpack", "reference", "optimized"}
    assert certificate.gate("kernels").status == "failed"


def test_an_op_that_it_lacks_is_told_and_judged_by_the_truth() -> None:
    tensors = [
        TensorSpec("x", (1, 8), scale=0.1),
        TensorSpec("axis", (), "int32", data=np.array(1, np.int32)),
        TensorSpec("y", (1,), "int32"),
    ]
    options = {"outputType": schema.TensorType.INT32}
    ops = [OpSpec("ARG_MAX", ["x", "axis"], ["y"], options)]
    certificate = judge(build(tensors, ops, ["x"], ["y"]), "ethos-u55-int8")
    told = [c for c in certificate.gate("kernels").checks if c.kernel_set == "numpy"]
    assert [(check.name, check.status) for check in told] == [("op-unregistered", "skipped")]
    assert "ARG_MAX 'y' is not registered on numpy" in told[0].message
    assert certificate.gate("kernels").status == "passed"
    by_set = {k.kernel_set: k.max_quanta for k in certificate.kernels}
    assert by_set["reference"] is None and by_set["xnnpack"] == 0, "the truth is the baseline"


@pytest.mark.parametrize("sets", [("numpy", "reference"), ("reference", "numpy")])
def test_a_profile_may_name_it(sets: tuple[str, str]) -> None:
    certificate = judge(CLASSIFIER, with_sets(*sets))
    assert certificate.passed
    assert [facts.role for facts in certificate.kernel_sets.values()] == ["truth", "compared"]
    (run,) = certificate.runtime
    assert (run.kernel_set, run.max_quanta) == (sets[1], 0), "they are equal bit for bit"
    assert {k.max_quanta for k in certificate.kernels if k.kernel_set == "reference"} == {0}


def test_a_profile_may_not_name_it_where_activations_are_floats() -> None:
    fields = load_profile("mobile-float16").model_dump()
    fields["kernel_sets"] = {"truth": "xnnpack", "compared": ("numpy",)}
    with pytest.raises(ValueError, match="computes with integer activations"):
        ExportProfile.model_validate(fields)


def test_a_portion_without_the_oracle_is_compared_with_the_next() -> None:
    model = TfliteModel.from_bytes(two_scales("RELU"))
    trial = OpTrial.of(model, model.ops[0], model, model.ops[0])
    zeros, sevens = ((np.full((1, 1, 8), value, np.int8),) for value in (0, 7))
    trial.add({"numpy": zeros, "xnnpack": zeros, "reference": zeros})
    trial.add({"numpy": Outcome("timed-out", "Late."), "xnnpack": zeros, "reference": sevens})
    results = {name: trial.result(name, 1) for name in ("numpy", "xnnpack", "reference")}
    assert {name: result.status for name, result in results.items()} == {
        "numpy": "timed-out", "xnnpack": "ok", "reference": "beyond-limit",
    }  # fmt: skip
    assert results["reference"].max_quanta == 7
