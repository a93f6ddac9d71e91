"""Which kernel sets load a file and compute it rightly: tiny files whose answers are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.certificates import certificate_of
from tests.tiny_models import custom_op, float_classifier, int8_classifier, int8_sum
from tfgreen.comparison import runs
from tfgreen.comparison.record import Comparison, WidthRow
from tfgreen.comparison.runs import EverySet, run_everywhere
from tfgreen.data import Samples
from tfgreen.errors import UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import Limits
from tfgreen.runtimes import Availability, Outcome, availability
from tfgreen.verification import lineup
from tfgreen.verification.certificate import Certificate, KernelResult
from tfgreen.verification.scoring import answers_of

micro_is_here = availability("micro").available


def everywhere(
    content: bytes, shape: tuple[int, ...], certificate: Certificate | None = None
) -> EverySet:
    values = np.random.default_rng(0).uniform(-1, 1, (32, *shape)).astype(np.float32)
    model = TfliteModel.from_bytes(content)
    return run_everywhere(model, Samples({"x": values}), "xnnpack", Limits(), certificate)


def statuses(found: EverySet) -> dict[str, str]:
    return {one.kernel_set: one.status for one in found.verdicts}


def test_a_sound_int8_file_is_right_everywhere() -> None:
    found = everywhere(int8_classifier(), (16,))
    expected = dict.fromkeys(("reference", "optimized", "xnnpack", "micro", "numpy"), "right")
    if not micro_is_here:
        expected["micro"] = "missing"
    assert statuses(found) == expected
    assert (found.arena_bytes is not None) == micro_is_here


def test_a_kernel_set_that_computes_something_else_is_wrong() -> None:
    """SUM in int8 gives a constant on the reference kernels, without a word."""
    found = everywhere(int8_sum(), (4, 8))
    told = {one.kernel_set: one for one in found.verdicts}
    assert told["optimized"].status == told["xnnpack"].status == "right"
    assert told["reference"].status == "wrong"
    assert "reference against the truth" in told["reference"].message


def test_a_kernel_set_that_refuses_the_file_is_told() -> None:
    found = everywhere(float_classifier(), (16,))
    assert statuses(found)["xnnpack"] == statuses(found)["reference"] == "right"
    nothing = everywhere(custom_op(), (4,))
    assert set(statuses(nothing).values()) <= {"does-not-run", "missing"}
    assert all(one.message for one in nothing.verdicts)
    assert nothing.arena_bytes is None


def test_an_op_that_the_certificate_found_wrong_counts() -> None:
    content = int8_classifier()
    result = KernelResult(
        op_index=0,
        op="FULLY_CONNECTED",
        tensor="t",
        kernel_set="optimized",
        status="known-bad",
        message="optimized is known to compute it wrongly.",
    )
    certificate = certificate_of(content).model_copy(update={"kernels": (result,)})
    told = {one.kernel_set: one for one in everywhere(content, (16,), certificate).verdicts}
    assert told["optimized"].status == "wrong"
    assert told["optimized"].message == result.message
    assert told["reference"].status == "right"


def test_without_the_truth_nothing_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if XNNPACK refused the file: the others ran it, and only the table of kernels accuses."""
    honest = runs.Executor.run

    def refused(*given: Any) -> Any:
        found = honest(*given)
        found["xnnpack"] = [Outcome("failed", "it was refused")]
        return found

    monkeypatch.setattr(runs.Executor, "run", refused)
    found = everywhere(int8_sum(), (4, 8))
    told = {one.kernel_set: one for one in found.verdicts}
    assert told["xnnpack"].status == "does-not-run"
    assert {told[name].status for name in ("reference", "optimized", "numpy")} == {"not-judged"}
    assert told["optimized"].message.startswith("xnnpack, the truth, does not run the file")
    assert found.sample_seconds is None
    row = WidthRow(width="int8", runtimes=found.verdicts)
    text = Comparison(model="m", rows=(row,)).text()
    assert "int8 was not judged on reference: xnnpack, the truth," in " ".join(text.split())
    assert "is wrong on" not in text


def test_what_is_not_installed_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(name: str) -> Availability:
        found = availability(name)
        hidden = replace(found, available=False, reason="pip install it")
        return hidden if name in ("micro", "optimized", "numpy") else found

    for module in (runs, lineup):
        monkeypatch.setattr(module, "availability", without)
    found = everywhere(int8_classifier(), (16,))
    assert statuses(found)["micro"] == "missing"
    assert lineup.truth_here("micro") == "reference"
    assert lineup.truth_here("xnnpack") == "xnnpack"


def test_a_file_that_does_not_run_has_no_answers() -> None:
    model = TfliteModel.from_bytes(custom_op())
    with pytest.raises(UnsupportedModelError, match="The xnnpack kernels did not run the file"):
        answers_of(model, [Samples({"x": np.zeros((1, 4), np.float32)})], "xnnpack")
