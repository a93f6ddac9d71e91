"""The kernels gate with planted faults: kernels that lie, die, refuse or are missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec, build
from tests.verification.test_folding import half_weights
from tfgreen.data import Samples
from tfgreen.profile import load_profile
from tfgreen.runtimes import Outcome, Task, availability, run_tasks
from tfgreen.verification import certify, execution
from tfgreen.verification.certificate import Certificate, Check

CLASSIFIER = tiny_models.int8_classifier()

needs_micro = pytest.mark.skipif(
    not availability("micro").available, reason="tflite-micro is not installed"
)


def judge(content: bytes, profile: str = "mobile-int8", **options: Any) -> Certificate:
    return certify(content, load_profile(profile), sample_limit=8, **options)


def found(certificate: Certificate, name: str) -> list[Check]:
    return [check for check in certificate.gate("kernels").checks if check.name == name]


@pytest.fixture
def altered(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have a kernel set give something else for the tasks of a name that starts so."""

    def alter(kernel_set: str, start: str, change: Callable[[Outcome], Outcome]) -> None:
        def changed(name: str, tasks: Sequence[Task], **options: Any) -> list[Outcome]:
            outcomes = run_tasks(name, tasks, **options)
            return [
                change(outcome) if name == kernel_set and task.name.startswith(start) else outcome
                for task, outcome in zip(tasks, outcomes, strict=True)
            ]

        monkeypatch.setattr(execution, "run_tasks", changed)

    return alter


def shifted(by: int) -> Callable[[Outcome], Outcome]:
    """Outputs further from zero by so many quanta, within int8."""
    return lambda outcome: replace(
        outcome,
        outputs=tuple(
            np.where(array > 0, array - np.int8(by), array + np.int8(by))
            for array in outcome.outputs
        ),
    )


def test_a_sound_file_passes_on_every_kernel_set() -> None:
    certificate = judge(CLASSIFIER)
    assert certificate.gate("kernels").status == "passed"
    assert {(k.op, k.kernel_set, k.status) for k in certificate.kernels} == {
        (op, kernel_set, "ok")
        for op in ("FULLY_CONNECTED", "SOFTMAX")
        for kernel_set in ("xnnpack", "reference", "optimized", "numpy")
    }
    assert all((k.max_quanta or 0) <= 1 for k in certificate.kernels)


@pytest.mark.parametrize("by", [1, 3])
def test_a_kernel_that_lies(altered: Callable[..., None], by: int) -> None:
    altered("optimized", "FULLY_CONNECTED", shifted(by))
    certificate = judge(CLASSIFIER, "coral-edgetpu-int8")  # the reference is the truth
    checks = found(certificate, "op-beyond-limit")
    if by == 1:
        assert checks == []
        return
    (check,) = checks
    assert check.status == "failed"
    assert check.message == "FULLY_CONNECTED 'logits' differs by 3 quanta on optimized (limit 1)."
    assert (check.measured, check.limit, check.kernel_set) == (3.0, 1, "optimized")
    (result,) = [k for k in certificate.kernels if k.status == "beyond-limit"]
    assert result.differing_share == 1.0
    assert certificate.verdict == "failed"


def test_shares_and_shapes(altered: Callable[..., None]) -> None:
    def cut_short(outcome: Outcome) -> Outcome:
        return replace(outcome, outputs=tuple(array[:, :, :-1] for array in outcome.outputs))

    altered("xnnpack", "SOFTMAX", cut_short)
    certificate = judge(CLASSIFIER, "coral-edgetpu-int8")
    (check,) = found(certificate, "op-failed")
    assert "gives the shape (1, 3) instead of (1, 4)" in check.message


FLAT_LOGITS = Samples({"logits": np.zeros((4, 512), np.float32)})


@needs_micro
def test_a_kernel_set_that_dies_fails_with_the_ops_name() -> None:
    content = tiny_models.int8_softmax(512)
    certificate = judge(content, "microcontroller-int8", samples=FLAT_LOGITS)
    (check,) = [c for c in found(certificate, "op-crashed") if c.kernel_set == "micro"]
    assert check.status == "failed"
    assert check.op == "SOFTMAX 'scores'"
    assert "The micro kernels died on SOFTMAX 'scores'" in check.message
    assert "known: it aborts the process where its exponentials" in check.message
    assert {k.kernel_set: k.status for k in certificate.kernels} == {
        "micro": "crashed", "reference": "crashed", "xnnpack": "ok", "numpy": "ok",
    }  # fmt: skip
    runtime = certificate.gate("runtime")
    assert [c.kernel_set for c in runtime.checks if c.status == "failed"] == ["micro"]


@pytest.mark.parametrize("profile", ["mobile-int8", "coral-edgetpu-int8"])
def test_the_oracle_stands_in_where_the_reference_dies(profile: str) -> None:
    """Compared or the truth, it is what a host runs in place of something else."""
    certificate = judge(tiny_models.int8_softmax(512), profile, samples=FLAT_LOGITS)
    (check,) = found(certificate, "op-crashed")
    assert (check.status, check.kernel_set) == ("warning", "reference")
    assert "The reference kernels died on SOFTMAX 'scores'" in check.message
    assert "'numpy' stands in" in check.message
    runtime = certificate.gate("runtime")
    (told,) = [check for check in runtime.checks if check.name == "stand-in"]
    assert told.status == "warning" and "died on the file" in told.message
    assert "Every op was fed the intermediates of the numpy kernels." in certificate.notes
    assert certificate.passed and certificate.runtime


def test_where_neither_can_the_optimized_kernels_show_the_intermediates(
    altered: Callable[..., None],
) -> None:
    altered("numpy", "the file", lambda _: Outcome("unregistered", "There is no SOFTMAX."))
    certificate = judge(tiny_models.int8_softmax(512), samples=FLAT_LOGITS)
    runtime = certificate.gate("runtime")
    assert [c.kernel_set for c in runtime.checks if c.status == "failed"] == ["reference"]
    assert any("optimized kernels, since the reference" in note for note in certificate.notes)


def test_a_task_without_end(altered: Callable[..., None]) -> None:
    message = "The xnnpack kernels gave no answer within 600 seconds on SOFTMAX."
    altered("xnnpack", "SOFTMAX", lambda outcome: Outcome("timed-out", message))
    (check,) = found(judge(CLASSIFIER, "coral-edgetpu-int8"), "op-timed-out")
    assert check.status == "warning", "a machine may be slow; only the truth has to be in time"
    assert message.rstrip(".") in check.message


def test_known_bad_where_it_is_only_compared() -> None:
    certificate = judge(tiny_models.int8_sum())
    (check,) = found(certificate, "op-known-bad")
    assert check.status == "warning"
    assert check.kernel_set == "reference"
    assert "SUM 'total' on reference is known to be wrong by" in check.message
    assert "known-bad table of 20" in check.message
    assert certificate.gate("kernels").status == "passed"
    assert any("intermediates of the optimized kernels" in note for note in certificate.notes)


def test_known_bad_where_it_is_the_truth() -> None:
    certificate = judge(tiny_models.int8_sum(), "coral-edgetpu-int8")
    (check,) = found(certificate, "op-known-bad")
    assert (check.status, check.kernel_set) == ("warning", "reference")
    assert "'numpy' stands in" in check.message
    (ran,) = [c for c in certificate.gate("runtime").checks if c.name == "file-runs"]
    assert ran.message == "'numpy' runs the file in place of the truth 'reference' (8 samples)."
    assert {k.kernel_set: k.status for k in certificate.kernels} == {
        "reference": "known-bad", "optimized": "ok", "xnnpack": "ok", "numpy": "ok",
    }  # fmt: skip
    assert all((run.max_quanta or 0) <= 1 for run in certificate.runtime)
    assert any("intermediates of the numpy kernels" in note for note in certificate.notes)


def test_known_bad_where_the_oracle_cannot_stand_in() -> None:
    """It has SUM, but no ARG_MAX: the truth's wrong integers are those of the whole file."""
    tensors = [
        TensorSpec("x", (1, 4, 8), scale=1 / 128),
        TensorSpec("axes", (1,), "int32", data=np.array([2], np.int32)),
        TensorSpec("total", (1, 4), scale=8 / 128),
        TensorSpec("axis", (), "int32", data=np.array(1, np.int32)),
        TensorSpec("place", (1,), "int32"),
    ]
    ops = [
        OpSpec("SUM", ["x", "axes"], ["total"], {"keepDims": False}, version=2),
        OpSpec("ARG_MAX", ["total", "axis"], ["place"], {"outputType": schema.TensorType.INT32}),
    ]
    certificate = judge(build(tensors, ops, ["x"], ["place"]), "coral-edgetpu-int8")
    (check,) = found(certificate, "op-known-bad")
    assert (check.status, check.kernel_set) == ("failed", "reference")
    assert "stands in" not in check.message
    names = {check.name: check for check in certificate.gate("runtime").checks}
    assert "stand-in" not in names
    assert names["file-runs"].message.startswith("The truth 'reference' runs the file")
    assert any("Every op that the NumPy interpreter has" in note for note in certificate.notes)


def test_known_bad_on_every_kernel_set_that_there_is() -> None:
    tensors = [TensorSpec(name, (1, 8), scale=0.1, zero_point=9) for name in ("x", "y")]
    content = build(tensors, [OpSpec("NEG", ["x"], ["y"])], ["x"], ["y"])
    certificate = judge(content)
    by_set = {k.kernel_set: k.status for k in certificate.kernels}
    assert by_set.pop("numpy") == "ok", "the only one that does what is specified"
    assert set(by_set.values()) == {"known-bad"}
    assert sorted(c.status for c in found(certificate, "op-known-bad")) == [
        "failed", "warning", "warning",
    ]  # fmt: skip


def gelu() -> bytes:
    tensors = [TensorSpec(name, (1, 8), scale=0.05) for name in ("x", "y")]
    return build(tensors, [OpSpec("GELU", ["x"], ["y"], version=2)], ["x"], ["y"])


@needs_micro
def test_an_unregistered_op_fails_only_the_truth() -> None:
    (check,) = found(judge(gelu(), "microcontroller-int8"), "op-unregistered")
    assert check.status == "failed"
    assert "GELU 'y' is not registered on micro" in check.message
    certificate = judge(gelu(), "ethos-u55-int8")  # micro is only compared there
    (check,) = found(certificate, "op-unregistered")
    assert (check.status, check.kernel_set) == ("warning", "micro")
    assert certificate.gate("kernels").status == "passed"
    assert certificate.gate("runtime").status == "passed"


def test_an_op_that_the_reference_has_not() -> None:
    tensors = [TensorSpec(name, (1, 8), scale=0.05) for name in ("x", "y")]
    content = build(tensors, [OpSpec("ELU", ["x"], ["y"])], ["x"], ["y"])
    certificate = judge(content)
    assert {k.kernel_set: k.status for k in certificate.kernels} == {
        "xnnpack": "ok", "reference": "unregistered", "optimized": "ok", "numpy": "ok",
    }  # fmt: skip
    assert certificate.gate("kernels").status == "passed"
    assert {run.kernel_set for run in certificate.runtime} == {"reference", "optimized"}


def test_ops_that_cannot_be_run_alone_are_told() -> None:
    tensors = [
        TensorSpec("x", (1, 4), scale=0.1),
        TensorSpec("state", (1, 4), scale=0.1, is_variable=True),
        TensorSpec("y", (1, 4), scale=0.1),
    ]
    content = build(tensors, [OpSpec("ADD", ["x", "state"], ["y"])], ["x"], ["y"])
    certificate = judge(content)
    (check,) = found(certificate, "op-not-compared")
    assert check.status == "skipped"
    assert check.message == ("ADD 'y' was not compared: it keeps state from one call to the next.")
    assert certificate.gate("kernels").status == "skipped"


def test_plain_integers_must_be_equal(altered: Callable[..., None]) -> None:
    tensors = [
        TensorSpec("x", (1, 8), scale=0.1),
        TensorSpec("axis", (), "int32", data=np.array(1, np.int32)),
        TensorSpec("y", (1,), "int32"),
    ]
    options = {"outputType": schema.TensorType.INT32}
    ops = [OpSpec("ARG_MAX", ["x", "axis"], ["y"], options)]
    content = build(tensors, ops, ["x"], ["y"])
    assert judge(content, "ethos-u55-int8").gate("kernels").status == "passed"

    def next_class(outcome: Outcome) -> Outcome:
        return replace(outcome, outputs=(outcome.outputs[0] + 1,))

    altered("xnnpack", "ARG_MAX", next_class)
    (check,) = found(judge(content, "ethos-u55-int8"), "op-beyond-limit")
    assert (check.measured, check.limit) == (1.0, 0)


def test_values_that_are_not_finite(altered: Callable[..., None]) -> None:
    def spoilt(outcome: Outcome) -> Outcome:
        return replace(outcome, outputs=(np.full_like(outcome.outputs[0], np.nan),))

    altered("optimized", "ADD", spoilt)
    certificate = judge(tiny_models.float_add(), "mobile-float16")
    (check,) = found(certificate, "op-beyond-limit")
    assert check.measured is None
    assert "not finite" in check.message


def test_weights_that_are_unpacked_are_folded_in() -> None:
    certificate = judge(half_weights(), "mobile-float16")
    assert certificate.gate("kernels").status == "passed"
    by_op = {(k.op, k.kernel_set): k.status for k in certificate.kernels}
    assert by_op["DEQUANTIZE", "reference"] == "ok"
    assert by_op["DEQUANTIZE", "xnnpack"] == "not-compared"
    assert by_op["FULLY_CONNECTED", "xnnpack"] == "ok"


def test_many_differences_are_counted_after_the_first_ten(altered: Callable[..., None]) -> None:
    names = [f"t{i}" for i in range(15)]
    tensors = [TensorSpec(name, (1, 8), scale=0.1) for name in names]
    ops = [OpSpec("ABS", [a], [b]) for a, b in zip(names, names[1:], strict=False)]
    altered("optimized", "ABS", shifted(5))
    checks = found(judge(build(tensors, ops, ["t0"], ["t14"])), "op-beyond-limit")
    assert len(checks) == 11
    assert checks[-1].message == "4 more ops on optimized: beyond-limit."


@pytest.mark.parametrize(("slow", "status"), [("xnnpack", "failed"), ("reference", "warning")])
def test_too_little_time_fails_only_the_truth(
    slow: str, status: str, altered: Callable[..., None]
) -> None:
    altered(slow, "", lambda _: Outcome("timed-out", "No answer within 600 seconds."))
    certificate = judge(CLASSIFIER)
    late = [c for c in certificate.checks if c.name in ("op-timed-out", "file-runs")]
    late = [c for c in late if c.kernel_set == slow]
    assert {check.status for check in late} == {status}
    assert all("--samples" in check.message for check in late)
    assert certificate.passed == (status == "warning")
