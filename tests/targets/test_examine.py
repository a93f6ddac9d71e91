"""`examine`: what each profile's target has to say, all in one call."""

from __future__ import annotations

import pytest

from tests.certificates import certificate_of
from tests.targets.microcontroller.files import missing_op
from tests.tiny_models import int8_classifier, int8_conv
from tfgreen.golden import Golden
from tfgreen.profile import load_profile
from tfgreen.targets import examine


def test_microcontrollers_get_a_check_an_arena_a_picture_and_sources() -> None:
    content, profile = int8_classifier(), load_profile("microcontroller-int8")
    report = examine(content, profile, certificate_of(content), golden=Golden(), name="tiny")
    assert [check.name for check in report.checks] == ["micro-ops", "arena-bytes"]
    assert report.facts["arena"]["planned_head_bytes"] == 32
    assert "microcontroller/arena.svg" in report.files
    assert "microcontroller/tiny_model/src/tiny_model/op_resolver.h" in report.files
    again = examine(content, profile, certificate_of(content), with_files=False)
    assert again.checks == report.checks and again.facts == report.facts


def test_where_there_can_be_no_sources_a_note_says_why() -> None:
    content, profile = missing_op(), load_profile("microcontroller-int8")
    report = examine(content, profile, certificate_of(content), golden=Golden())
    assert not any(name.endswith(".cc") for name in report.files)
    assert any("No sources were written" in note and "GELU" in note for note in report.notes)


def test_npus_get_the_compiled_file_checked_and_its_sources() -> None:
    pytest.importorskip("ethosu.vela")
    content, profile = int8_conv(), load_profile("ethos-u55-int8")
    report = examine(content, profile, certificate_of(content), golden=Golden(), name="tiny")
    names = [check.name for check in report.checks]
    assert "npu-compilation" in names and names[-1] == "micro-ops"
    resolver = report.files["microcontroller/tiny_model/src/tiny_model/op_resolver.h"]
    assert b"AddEthosU" in resolver and b"AddConv2D" not in resolver
    data = report.files["microcontroller/tiny_model/src/tiny_model/model_data.cc"]
    header = report.files["microcontroller/tiny_model/src/tiny_model/inference.h"]
    assert b"nobody measured it" in header and b"64-bit host" not in header
    assert data.count(b"0x") >= len(report.files["model_vela.tflite"])
