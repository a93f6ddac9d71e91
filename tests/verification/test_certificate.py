"""Certificates as data: exact round trip, nothing unknown, no verdict that the checks deny."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from tests.certificates import certificate_of
from tfgreen.errors import InvalidDataError
from tfgreen.verification.certificate import Certificate, Check, GateResult, LayerFidelity


def check(status: str, gate: str = "kernels") -> Check:
    return Check.model_validate({"gate": gate, "name": "n", "status": status, "message": "m."})


@pytest.mark.parametrize("verdict", ["passed", "failed"])
def test_json_round_trip_is_exact(verdict: str) -> None:
    certificate = certificate_of(b"a file", verdict=verdict)
    text = certificate.to_json()
    assert Certificate.from_json(text) == certificate
    assert Certificate.from_json(text).to_json() == text
    assert json.loads(text)["schema_version"] == 1


def test_numbers_keep_their_kind() -> None:
    kept = Check(gate="kernels", name="n", status="passed", message="m.", measured=1, limit=1.0)
    again = Check.model_validate_json(kept.model_dump_json())
    assert isinstance(again.measured, int)
    assert isinstance(again.limit, float)


@pytest.mark.parametrize("place", [(), ("gates", 0), ("gates", 0, "checks", 0), ("samples",)])
def test_unknown_keys_are_refused_at_every_depth(place: tuple[str | int, ...]) -> None:
    document = json.loads(certificate_of(b"a file").to_json())
    inner = document
    for key in place:
        inner = inner[key]
    inner["surprise"] = 1
    with pytest.raises(InvalidDataError, match="surprise"):
        Certificate.from_json(json.dumps(document))


def test_a_changed_verdict_is_refused() -> None:
    document = json.loads(certificate_of(b"a file", verdict="failed").to_json())
    document["verdict"] = "passed"
    with pytest.raises(InvalidDataError, match="verdict says passed, the gates say failed"):
        Certificate.from_json(json.dumps(document))


def test_a_changed_gate_is_refused() -> None:
    document = json.loads(certificate_of(b"a file", verdict="failed").to_json())
    document["gates"][2]["status"] = "passed"
    with pytest.raises(InvalidDataError, match="fidelity"):
        Certificate.from_json(json.dumps(document))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema_version": 2}', "no json"])
def test_something_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidDataError, match="no tfgreen certificate of schema version 1"):
        Certificate.from_json(text)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_no_number_is_nan_or_infinite(number: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        LayerFidelity(tensor="t", op="ADD", sqnr_db=number, ideal_sqnr_db=None)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ((), "skipped"),
        (("skipped", "skipped"), "skipped"),
        (("passed", "skipped"), "passed"),
        (("warning",), "passed"),
        (("passed", "failed", "warning"), "failed"),
    ],
)
def test_a_gate_follows_from_its_checks(statuses: tuple[str, ...], expected: str) -> None:
    assert GateResult.of("kernels", map(check, statuses)).status == expected


def test_a_gate_holds_only_its_own_checks() -> None:
    with pytest.raises(ValidationError, match="another gate"):
        GateResult.of("kernels", [check("passed", "runtime")])


def test_failed_checks_and_warnings() -> None:
    certificate = certificate_of(b"a file", verdict="failed")
    assert [c.gate for c in certificate.failed_checks] == ["fidelity"]
    assert [c.gate for c in certificate.warnings] == ["kernels"]
    assert certificate.gate("runtime").status == "skipped"
    assert not certificate.passed
