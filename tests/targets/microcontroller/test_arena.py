"""The arena: TFLM's own figures, the budget, which layer needs the most, and the picture."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import load_profile
from tfgreen.runtimes import availability
from tfgreen.targets import TargetReport, examine
from tfgreen.targets.microcontroller.arena import PICTURE, report_arena
from tfgreen.targets.microcontroller.lifetimes import peak_of, remedy, told
from tfgreen.targets.microcontroller.picture import draw_arena
from tfgreen.targets.microcontroller.planner import plan_arena
from tfgreen.verification import Certificate, Check, certify

MICRO = load_profile("microcontroller-int8")
needs_micro = pytest.mark.skipif(
    not availability("micro").available, reason=availability("micro").reason
)


def widening() -> bytes:
    """x → a wide convolution → DEPTHWISE_CONV_2D-like RELU → a narrow one: the wide one peaks.

    Bytes: x 8*8*2 = 128, wide 8*8*16 = 1,024, rectified 1,024, y 8*8*2 = 128.
    """
    shapes = {"x": 2, "net/wide/convolution": 16, "net/act/Relu": 16, "y": 2}
    tensors = [TensorSpec(name, (1, 8, 8, depth), scale=0.1) for name, depth in shapes.items()]
    names = list(shapes)
    ops = [
        OpSpec(kind, [source], [target])
        for kind, source, target in zip(
            ("CONV_2D", "RELU", "CONV_2D"), names[:-1], names[1:], strict=True
        )
    ]
    return build(tensors, ops, ["x"], ["y"])


def test_the_layer_that_peaks_and_what_would_lower_it() -> None:
    """The RELU needs 2 * 1,024; with half the channels 2 * 512, and both must be halved."""
    model = TfliteModel.from_bytes(widening())
    plan = plan_arena(model)
    assert plan is not None
    peak = peak_of(model, plan)
    assert peak is not None
    assert (plan.head_bytes, peak.used_bytes, peak.op.name) == (2048, 2048, "RELU")
    assert peak.narrower == ("'wide'", 1024)
    text = told(model, plan, peak)
    assert "Layer 'act' (RELU) needs the most: 2,048 bytes" in text
    assert "Half the channels in 'wide' would lower it, the head to 1,024." in text


def test_where_only_the_input_counts() -> None:
    model = TfliteModel.from_bytes(tiny_models.int8_classifier())
    plan = plan_arena(model)
    assert plan is not None
    peak = peak_of(model, plan)
    assert peak is not None
    assert remedy(model, peak).endswith("make the input smaller")


def test_the_picture_shows_every_tensor_at_its_place() -> None:
    model = TfliteModel.from_bytes(widening())
    plan = plan_arena(model)
    assert plan is not None
    peak = peak_of(model, plan)
    assert peak is not None
    drawn = draw_arena(model, plan, peak)
    assert drawn == draw_arena(model, plan, peak), "the same bytes every time"
    space = "{http://www.w3.org/2000/svg}"
    root = ElementTree.fromstring(drawn)
    boxes = [box for box in root.iter(f"{space}rect") if box.find(f"{space}title") is not None]
    titles = [box.find(f"{space}title").text for box in boxes]  # type: ignore[union-attr]
    assert sorted(titles) == [
        "input 'x': 128 bytes",
        "output of 'act': 1,024 bytes",
        "output of 'wide': 1,024 bytes",
        "output of 'y': 128 bytes",
    ]
    heights = [float(box.get("height", 0)) for box in boxes]
    assert sorted(heights) == pytest.approx([26.25, 26.25, 210, 210], abs=0.1)  # of 420 pixels
    red = [title for box, title in zip(boxes, titles, strict=True) if box.get("fill") == "#e15759"]
    assert red == ["output of 'wide': 1,024 bytes", "output of 'act': 1,024 bytes"]


CONTENT = tiny_models.int8_conv(size=16, channels=3, filters=8)


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    return certify(CONTENT, MICRO, sample_limit=1)


def unmeasured(certificate: Certificate) -> Certificate:
    """As it would be on a machine for which there is no tflite-micro."""
    nothing = {"arena_bytes": None, "arena_head_bytes": None, "arena_to_load_bytes": None}
    return certificate.model_copy(update=nothing)


def arena_of(report: TargetReport) -> Check:
    (check,) = [check for check in report.checks if check.name == "arena-bytes"]
    return check


@needs_micro
def test_a_budget_that_is_kept_and_one_that_is_not(certificate: Certificate) -> None:
    needed = certificate.arena_to_load_bytes
    assert needed is not None
    for budget, status in ((needed, "passed"), (needed - 1, "failed")):
        rules = MICRO.with_overrides(arena=budget)
        report = examine(CONTENT, rules, certificate, with_files=False)
        check = arena_of(report)
        assert (check.status, check.measured, check.limit) == (status, needed, budget)
        judged = report.on(certificate)
        assert judged.verdict == status
        assert [c.name for c in judged.checks].count("arena-bytes") == 1, "told once"
    assert "64-bit host" in check.message
    assert "1 byte over the budget" in check.message
    assert check.message.endswith("make the input smaller.")


@needs_micro
def test_the_facts_are_tflm_s(certificate: Certificate) -> None:
    report = report_arena(TfliteModel.from_bytes(CONTENT), MICRO, certificate)
    facts = report.facts["arena"]
    assert facts["head_bytes"] == facts["planned_head_bytes"] == 16 * 16 * (3 + 8)
    assert facts["total_bytes"] == facts["head_bytes"] + facts["tail_bytes"]
    assert facts["to_load_bytes"] >= facts["total_bytes"]
    assert facts["measured_by"].startswith("tflite-micro")
    assert list(report.files) == [PICTURE]


@needs_micro
def test_without_tflm_the_head_is_a_lower_bound(certificate: Certificate) -> None:
    """16 * 16 * (3 + 8) = 2,816 bytes of head; the tail is not known."""
    certificate = unmeasured(certificate)
    for budget, status in ((2815, "failed"), (2816, "warning")):
        report = examine(CONTENT, MICRO.with_overrides(arena=budget), certificate, with_files=False)
        check = arena_of(report)
        assert (check.status, check.measured) == (status, 2816)
        assert "at least 2,816 bytes" in check.message
        assert any("was not measured" in note for note in report.notes)
    assert report.facts["arena"]["total_bytes"] is None
