"""Golden vectors: bit-equal where kernels are deterministic, within the limits elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import tiny_models
from tests.certificates import certificate_of
from tests.tiny_models import OpSpec, TensorSpec
from tfgreen.profile import ExportProfile, load_profile
from tfgreen.runtimes import Availability, Task, availability, run_tasks
from tfgreen.verification import replay
from tfgreen.verification.certificate import Certificate, Check
from tfgreen.verification.replay import BIT_EXACT_KERNEL_SETS, with_replay

CLASSIFIER = tiny_models.int8_classifier()
X = np.random.default_rng(3).integers(-128, 128, (8, 1, 16), np.int8)
HERE = [name for name in ("reference", "micro", "xnnpack") if availability(name).available]


def profile(**limits: Any) -> ExportProfile:
    fields = load_profile("mobile-int8").model_dump()
    fields["limits"] |= limits
    return ExportProfile.model_validate(fields)


def answers(content: bytes, kernel_set: str, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
    (outcome,) = run_tasks(kernel_set, [Task("golden", content, inputs)])
    return outcome.outputs


def replayed(
    golden: dict[str, tuple[np.ndarray, ...]],
    rules: ExportProfile | None = None,
    content: bytes = CLASSIFIER,
    inputs: tuple[np.ndarray, ...] = (X,),
) -> Certificate:
    before = certificate_of(content)
    after = with_replay(before, content, inputs, golden, rules or profile())
    assert after.gates[:3] == before.gates[:3], "only the runtime gate is added to"
    assert after.gate("runtime").checks[: len(before.gate("runtime").checks)] == (
        before.gate("runtime").checks
    )
    return after


def checks(certificate: Certificate) -> list[Check]:
    return [check for check in certificate.checks if check.name == "golden-vectors"]


def planted(kernel_set: str, *changes: tuple[int, int, int]) -> dict[str, tuple[np.ndarray, ...]]:
    """What the kernel set answers, with `step` added to the output `column` of `vector`."""
    (scores,) = answers(CLASSIFIER, kernel_set, X)
    moved = scores.astype(np.int16)
    for vector, column, step in changes:
        moved[vector, 0, column] += step
    return {kernel_set: (moved.clip(-128, 127).astype(np.int8),)}


@pytest.mark.parametrize("kernel_set", HERE)
def test_what_was_answered_is_answered_again(kernel_set: str) -> None:
    certificate = replayed(planted(kernel_set))
    (check,) = checks(certificate)
    assert (check.gate, check.kernel_set, check.status) == ("runtime", kernel_set, "passed")
    assert "0 of 8 golden vectors differ" in check.message and certificate.passed


@pytest.mark.parametrize("kernel_set", [s for s in HERE if s in BIT_EXACT_KERNEL_SETS])
def test_one_quantum_in_one_vector_fails_where_kernels_are_deterministic(kernel_set: str) -> None:
    (scores,) = answers(CLASSIFIER, kernel_set, X)
    column = int(scores[2, 0].argmin())  # the class stays the same
    certificate = replayed(planted(kernel_set, (2, column, 1)))
    (check,) = checks(certificate)
    assert check.status == "failed" and certificate.verdict == "failed"
    assert check.measured == 1 / 8 and check.limit == 0
    assert "1 of 8 golden vectors differ" in check.message


def test_one_quantum_is_within_the_limits_of_xnnpack() -> None:
    (scores,) = answers(CLASSIFIER, "xnnpack", X)
    column = int(scores[2, 0].argmin())
    certificate = replayed(planted("xnnpack", (2, column, 1)))
    (check,) = checks(certificate)
    assert check.status == "passed" and certificate.passed
    assert "1 of 8 golden vectors differ on xnnpack, by at most 1 quantum" in check.message


def test_another_class_on_xnnpack_counts_against_the_limit() -> None:
    (scores,) = answers(CLASSIFIER, "xnnpack", X)
    winner, other = int(scores[5, 0].argmax()), int(scores[5, 0].argmin())
    golden = planted("xnnpack", (5, winner, -255), (5, other, 255))
    strict, loose = profile(runtime_argmax_share=0.1), profile(runtime_argmax_share=0.125)
    (failed,), (passed,) = checks(replayed(golden, strict)), checks(replayed(golden, loose))
    assert (failed.status, passed.status) == ("failed", "passed")
    assert failed.measured == 0.125 and failed.limit == 0.1
    assert "the class changes for 12.5 % (limit 10.0 %)" in failed.message


def test_steps_count_against_the_limit_if_the_profile_has_one() -> None:
    (scores,) = answers(CLASSIFIER, "xnnpack", X)
    column = int(scores[1, 0].argmin())
    golden = planted("xnnpack", (1, column, 3))
    (check,) = checks(replayed(golden, profile(runtime_quanta=2)))
    assert check.status == "failed" and "by at most 3 quanta (limit 2)" in check.message
    (check,) = checks(replayed(golden, profile(runtime_quanta=3)))
    assert check.status == "passed"


def float_scale(factor: float = 2.0, op: str = "MUL") -> bytes:
    """y = x * factor, which is no classification."""
    specs = [
        TensorSpec("x", (1, 4), "float32"),
        TensorSpec("factor", (1,), "float32", data=np.array([factor], np.float32)),
        TensorSpec("y", (1, 4), "float32"),
    ]
    return tiny_models.build(specs, [OpSpec(op, ["x", "factor"], ["y"])], ["x"], ["y"])


REAL = np.linspace(-1, 1, 16, dtype=np.float32).reshape(4, 1, 4)  # answers from -2 to 2


@pytest.mark.parametrize(("quanta", "status"), [(0.9, "passed"), (1.5, "failed")])
def test_a_float_quantum_is_a_hundred_thousandth_of_the_range(quanta: float, status: str) -> None:
    golden = 2 * REAL.astype(np.float64)
    golden[1, 0, 2] += quanta * 1e-5 * 4
    certificate = replayed(
        {"reference": (golden.astype(np.float32),)}, content=float_scale(), inputs=(REAL,)
    )
    assert checks(certificate)[0].status == status


def test_float_steps_are_counted_in_quanta_too() -> None:
    golden = 2 * REAL
    golden[0, 0, 0] += np.float32(50 * 1e-5 * 4)
    for limit, status in ((40, "failed"), (60, "passed"), (None, "passed")):
        (check,) = checks(
            replayed(
                {"xnnpack": (golden,)},
                profile(runtime_quanta=limit),
                content=float_scale(),
                inputs=(REAL,),
            )
        )
        assert check.status == status and check.unit == "quanta"
        assert check.measured == pytest.approx(50, rel=0.01)


def test_values_in_another_order_are_no_change_of_class_without_classes() -> None:
    """The largest of four numbers of a regression is nobody's decision."""
    golden = 2 * (REAL + 4)[..., ::-1]
    (check,) = checks(replayed({"xnnpack": (golden,)}, content=float_scale(), inputs=(REAL + 4,)))
    assert check.status == "passed" and "class" not in check.message


@pytest.mark.parametrize(("factor", "status"), [(1.25, "passed"), (1.5, "failed")])
def test_without_classes_the_signal_counts(factor: float, status: str) -> None:
    """Answers of y where c * y was golden: 20 * log10(c / (c - 1)) = 14.0 and 9.5 dB."""
    golden = (factor * 2 * REAL,)
    (check,) = checks(replayed({"xnnpack": golden}, content=float_scale(), inputs=(REAL,)))
    assert check.status == status
    if status == "failed":
        assert check.measured == pytest.approx(20 * np.log10(3)) and check.limit == 10
        assert "the SQNR is 9.5 dB (at least 10)" in check.message


@pytest.mark.parametrize("kernel_set", ["reference", "xnnpack"])
def test_nan_where_there_was_a_number_fails_everywhere(kernel_set: str) -> None:
    (check,) = checks(
        replayed({kernel_set: (2 * REAL,)}, content=float_scale(np.nan), inputs=(REAL,))
    )
    assert check.status == "failed"


def test_nan_that_was_nan_is_no_change() -> None:
    golden = (np.full_like(REAL, np.nan),)
    certificate = replayed({"reference": golden}, content=float_scale(np.nan), inputs=(REAL,))
    assert checks(certificate)[0].status == "passed"


def test_every_kernel_set_and_every_output_counts() -> None:
    specs = [TensorSpec(name, (1, 4), "float32") for name in ("x", "minus", "twice")]
    ops = [OpSpec("NEG", ["x"], ["minus"]), OpSpec("ADD", ["x", "x"], ["twice"])]
    content = tiny_models.build(specs, ops, ["x"], ["minus", "twice"])
    wrong = 2 * REAL
    wrong[3] += 1
    golden = {"reference": (-REAL, 2 * REAL), "xnnpack": (-REAL, wrong)}
    certificate = replayed(golden, profile(runtime_quanta=1), content=content, inputs=(REAL,))
    assert [check.status for check in checks(certificate)] == ["passed", "failed"]
    assert certificate.gate("runtime").status == "failed"


def test_a_kernel_set_that_cannot_run_the_file_any_more_fails() -> None:
    flat = np.zeros((1, 1, 512), np.int8)
    golden = {"reference": (np.zeros((1, 1, 512), np.int8),)}
    certificate = replayed(golden, content=tiny_models.int8_softmax(512), inputs=(flat,))
    (check,) = checks(certificate)
    assert check.status == "failed" and "do not run" in check.message


def test_a_kernel_set_that_is_not_installed_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = Availability(False, None, "install it with: pip install tfgreen[mcu]")
    monkeypatch.setattr(replay, "availability", lambda name: missing)
    certificate = replayed({"micro": (X[..., :4],)})
    (check,) = checks(certificate)
    assert check.status == "skipped" and "pip install tfgreen[mcu]" in check.message
    assert certificate.passed


def test_a_failed_certificate_stays_failed() -> None:
    before = certificate_of(CLASSIFIER, verdict="failed")
    after = with_replay(before, CLASSIFIER, (X,), planted("reference"), profile())
    assert after.verdict == "failed" and checks(after)[0].status == "passed"
