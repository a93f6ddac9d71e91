"""The ladder: what it tries, what it keeps, when it stops, and that it makes nothing worse."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from tests.tflite.chained_networks import RELU, images, separable
from tests.tflite.float_layers import run
from tfgreen.data import Samples
from tfgreen.errors import ConversionError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import ExportProfile, load_profile
from tfgreen.tflite import Treated, Treatment
from tfgreen.tflite.quantizers import AiEdgeQuantizer
from tfgreen.tflite.ranges import minmax_ranges
from tfgreen.tflite.statistics import collect_statistics
from tfgreen.verification.repair import Order, ladder, repair_file
from tfgreen.verification.repair.record import Score
from tfgreen.verification.repair.referee import Referee

SAMPLES = Samples({"x": images(64)[:, 0]})
FLOAT = separable(RELU, (1.0, 1.0))


def rules(**limits: float) -> ExportProfile:
    profile = load_profile("mobile-weights-int4")
    changed = profile.limits.model_copy(update={"agreement": 0.0, **limits})
    sets = profile.kernel_sets.model_copy(update={"compared": ()})
    return profile.model_copy(update={"limits": changed, "kernel_sets": sets})


def int4_file() -> bytes:
    return AiEdgeQuantizer(FLOAT, "weights-int4").quantize({})


def order(**limits: float) -> Order:
    return Order(int4_file(), FLOAT, rules(**limits), SAMPLES)


class Treatments:
    """Stands in for the child: each kind gives a file of a known score, or nothing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, scores: Mapping[str, float | None]) -> None:
        self.scores, self.asked = scores, []
        self._known = {b"start": 5.0}
        monkeypatch.setattr(ladder, "treat", self.treat)
        monkeypatch.setattr(ladder, "Referee", lambda *given: self)

    def __len__(self) -> int:
        return 16

    def score(self, content: bytes) -> Score:
        value = self._known[content]
        return Score(value, 0.9, value >= 20, 1000)

    def treat(self, treatment: Treatment, float_content: bytes, content: bytes,
              *rest: object) -> Treated:  # fmt: skip
        self.asked.append((treatment.kind, content))
        value = self.scores.get(treatment.kind)
        if value is None:
            return Treated(content, float_content, False, "Nothing to do.", {"reached": False})
        if value < 0:
            raise ConversionError("No engine could quantize the model.")
        made = treatment.kind.encode()
        self._known[made] = value
        facts = {"reached": value >= 20, "wide_ops": ["a"], "ops": 9, "sensitivity": []}
        return Treated(made, float_content, True, "Done.", facts)


def climb(monkeypatch: pytest.MonkeyPatch, scores: Mapping[str, float | None]) -> Treatments:
    treatments = Treatments(monkeypatch, scores)
    profile = load_profile("mobile-int8")
    treatments.repaired = repair_file(Order(b"start", b"float", profile, SAMPLES))
    return treatments


def test_the_cheapest_steps_first_and_each_on_the_best_so_far(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = climb(monkeypatch, {"equalize-activations": 9.0, "statistics": 8.0, "rounding": 12.0})
    assert [kind for kind, _ in done.asked] == [
        "mask", "equalize-activations", "statistics", "bias", "rounding", "widths",
    ]  # fmt: skip
    assert dict(done.asked)["statistics"] == dict(done.asked)["rounding"] == b"equalize-activations"
    record = done.repaired.record
    assert done.repaired.content == b"rounding"
    assert [step.kind for step in record.applied] == ["equalize-activations", "rounding"]
    assert (record.before.sqnr_db, record.after.sqnr_db) == (5.0, 12.0)
    assert "training" in record.recommendation
    json.dumps(record.to_facts())


def test_it_ends_where_the_gate_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    done = climb(monkeypatch, {"mask": 25.0})
    assert [kind for kind, _ in done.asked] == ["mask"]
    assert done.repaired.record.gate
    assert not done.repaired.record.recommendation


def test_less_than_a_tenth_of_a_decibel_is_no_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    done = climb(monkeypatch, {"mask": 5.05, "bias": 4.0})
    assert done.repaired.content == b"start"
    assert not done.repaired.record.applied
    assert all("Not kept" in s.said for s in done.repaired.record.steps if s.after is not None)


def test_wider_layers_have_to_bring_much_if_the_gate_fails_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert climb(monkeypatch, {"widths": 7.0}).repaired.content == b"start"
    assert climb(monkeypatch, {"widths": 9.0}).repaired.content == b"widths"


def test_a_step_that_no_engine_can_do_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    done = climb(monkeypatch, {"mask": -1.0, "rounding": 22.0})
    first, *_ = done.repaired.record.steps
    assert (first.kind, first.applied) == ("mask", False)
    assert "No engine" in first.said
    assert done.repaired.content == b"rounding"


def test_a_file_that_passes_is_not_touched() -> None:
    given = order(sqnr_db=1.0)
    done = repair_file(given)
    assert done.content == given.content
    assert not done.record.steps
    assert done.record.gate


def test_4_bit_weights_are_rounded_until_the_gate_passes() -> None:
    """For real, in the child: what was missing is made up for, on samples not fitted to."""
    given = order(sqnr_db=0.0)
    before = Referee(FLOAT, given.profile, SAMPLES).score(given.content).rank
    done = repair_file(order(sqnr_db=before + 3))
    assert done.record.gate
    assert done.record.are_held_back
    assert done.record.after.rank >= before + 3
    fresh = images(32, seed=9)
    true = np.stack([run(FLOAT, x) for x in fresh])
    errors = [
        float(np.mean((np.stack([run(content, x) for x in fresh]) - true) ** 2))
        for content in (given.content, done.content)
    ]
    assert errors[1] < errors[0]


def test_a_file_that_gives_no_numbers_is_worse_than_any(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every step would seem to help it, the bad ones too."""
    referee = Referee(FLOAT, rules(sqnr_db=10.0), SAMPLES)
    broken = Score(float("nan"), None, True, 1000)
    monkeypatch.setattr(referee, "_scored", lambda content: broken)
    score = referee.score(b"broken")
    assert (score.rank, score.passed) == (-200.0, False)


@pytest.mark.slow
def test_channels_of_unlike_size_under_one_scale_a_kernel() -> None:
    """Cross-layer equalization, from a model's conversion to the file: no training, no labels."""
    spread = separable(RELU, (100.0, 100.0))
    profile = load_profile("mobile-int8")
    sets = profile.kernel_sets.model_copy(update={"compared": ()})
    limits = profile.limits.model_copy(update={"sqnr_db": 25.0, "agreement": 0.0})
    profile = profile.model_copy(
        update={"weight_scales": "tensor", "kernel_sets": sets, "limits": limits}
    )
    content = AiEdgeQuantizer(spread, "int8", per_channel=False).quantize(_ranges(spread))
    done = repair_file(Order(content, spread, profile, SAMPLES))
    assert [step.kind for step in done.record.applied][0] == "equalize-weights"
    assert done.record.before.rank < 25 <= done.record.after.rank
    scales = [t.quantization.scales.size for t in TfliteModel.from_bytes(done.content).tensors
              if t.is_constant and t.dtype == "int8"]  # fmt: skip
    assert set(scales) == {1}


def _ranges(content: bytes) -> dict[str, tuple[float, float]]:
    return dict(minmax_ranges(collect_statistics(content, [SAMPLES.inputs["x"][:, None]])))


def test_few_samples_judge_for_themselves_and_that_is_told() -> None:
    given = replace(order(sqnr_db=1.0), calibration=SAMPLES.head(8))
    assert not repair_file(given).record.are_held_back


def test_nothing_is_fitted_to_the_samples_that_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    treatments = Treatments(monkeypatch, {"statistics": 30.0})
    few = Order(b"start", b"float", load_profile("mobile-int8"), SAMPLES.head(8))
    done = repair_file(few)
    assert [kind for kind, _ in treatments.asked] == ["mask", "equalize-activations", "widths"]
    told = {step.kind: step.said for step in done.record.steps}
    assert told["rounding"].startswith("It needs 16 calibration samples")


@pytest.mark.parametrize("batch", [1, 4])
def test_no_sample_both_fits_and_judges(batch: int) -> None:
    positions, held = ladder.dealt(100, batch)
    assert held == 24 if batch == 4 else 25
    assert len(set(positions)) == len(positions)
    assert (len(positions) - held) % batch == 0
