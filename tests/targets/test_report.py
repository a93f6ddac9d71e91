"""A target's report joins the certificate and the bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import tiny_models
from tests.certificates import certificate_of
from tfgreen.bundle import Bundle
from tfgreen.errors import IntegrityError
from tfgreen.golden import Golden
from tfgreen.profile import list_profiles, load_profile
from tfgreen.targets import TargetReport, examine
from tfgreen.verification import Check
from tfgreen.verification.certificate import CheckStatus


def check(name: str, status: CheckStatus, op: str | None = None, message: str = "ours") -> Check:
    return Check(gate="structure", name=name, status=status, message=message, op=op)


def test_a_check_takes_the_place_of_the_one_about_the_same_thing() -> None:
    certificate = certificate_of(b"x")
    known = certificate.gate("structure").checks[0]
    report = TargetReport((check(known.name, "failed", known.op), check("new", "passed")))
    judged = report.on(certificate)
    assert (certificate.verdict, judged.verdict) == ("passed", "failed")
    checks = judged.gate("structure").checks
    assert [one.message for one in checks[:2]] == ["ours", "ours"], "the target's come first"
    assert len(checks) == len(certificate.gate("structure").checks) + 1
    assert known not in checks
    assert type(judged).from_json(judged.to_json()) == judged


def test_facts_and_notes_are_added() -> None:
    certificate = certificate_of(b"x")
    report = TargetReport(facts={"arena": {"head_bytes": 16}}, notes=("mind the tail",))
    judged = (report + TargetReport(facts={"npu": None})).on(certificate)
    assert judged.target == {"arena": {"head_bytes": 16}, "npu": None}
    assert judged.notes == (*certificate.notes, "mind the tail")


def test_targets_without_rules_of_their_own_have_nothing_to_say() -> None:
    content = tiny_models.int8_classifier()
    names = [name for name in list_profiles() if name.startswith(("mobile", "raspberry"))]
    assert len(names) == 5
    for name in names:
        certificate = certificate_of(content, profile=name)
        assert examine(content, load_profile(name), certificate) == TargetReport()


def test_the_files_of_a_target_are_hashed_and_read_back(tmp_path: Path) -> None:
    content = tiny_models.int8_classifier()
    files = {"microcontroller/arena.svg": b"<svg/>", "board/README.md": b"flash it"}
    bundle = Bundle(
        content,
        certificate_of(content),
        load_profile("microcontroller-int8"),
        golden=Golden(),
        target_files=files,
    )
    folder = bundle.save(tmp_path / "bundle")
    assert Bundle.read(folder).target_files == files
    assert (folder / "board" / "README.md").read_bytes() == b"flash it"
    (folder / "board" / "README.md").write_bytes(b"flash me")
    with pytest.raises(IntegrityError, match=r"board/README\.md"):
        Bundle.read(folder)
