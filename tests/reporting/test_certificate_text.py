"""The certificate for people: verdict first, nothing failed is left out, names cannot escape."""

from __future__ import annotations

import pytest

from tests.certificates import certificate_of
from tfgreen.reporting import certificate_summary
from tfgreen.reporting.certificate_text import render_certificate
from tfgreen.reporting.tables import to_text
from tfgreen.verification.certificate import Certificate, Check, GateResult

CONTENT = b"model"


def text_of(certificate: Certificate, *, width: int = 120, detailed: bool = False) -> str:
    return to_text(render_certificate(certificate, detailed=detailed), width)


@pytest.mark.parametrize("verdict", ["passed", "failed"])
def test_verdict_comes_first(verdict: str) -> None:
    certificate = certificate_of(CONTENT, verdict=verdict)
    assert text_of(certificate).split()[0] == verdict.upper()
    assert certificate_summary(certificate).split()[0] == verdict.upper()


def test_figures() -> None:
    text = text_of(certificate_of(CONTENT))
    for figure in ("31.5 dB", "98.4 %", "91.0 %", "90.0 %", "90.5 %", "12.5 %", "23.7 KB", "64"):
        assert figure in text, figure
    assert "1 ok, 1 unregistered" in text
    assert "not installed" in text
    assert "SRAM of the target" in text


def test_the_arena_in_its_parts() -> None:
    certificate = certificate_of(b"x").model_copy(update={"arena_head_bytes": 16_000})
    assert "24,272 bytes (8,272 of them the tail), 25,000 to load" in text_of(certificate)


def test_what_saturates() -> None:
    text = text_of(certificate_of(CONTENT))
    (row,) = [line for line in text.splitlines() if "14.2 bits" in line]
    assert row.split() == [
        "FULLY_CONNECTED", "logits", "0.1", "%", "4.3", "%", "4.4", "%", "14.2", "bits",
    ]  # fmt: skip
    assert "the worst 1 of 2" in text
    assert "RESHAPE" not in text, "it copies what another op has clipped"
    assert "RESHAPE" in text_of(certificate_of(CONTENT), detailed=True)


def with_failures(count: int) -> Certificate:
    certificate = certificate_of(CONTENT, verdict="failed")
    checks = [
        Check(gate="structure", name="op", status="failed", message=f"Op {k} is {k}.5 steps off.")
        for k in range(count)
    ]
    gates = (GateResult.of("structure", checks), *certificate.gates[1:])
    return certificate.model_copy(update={"gates": gates})


def test_every_failed_check_is_told_with_its_number() -> None:
    certificate = with_failures(40)
    for text in (text_of(certificate), certificate_summary(certificate)):
        for number in range(40):
            assert f"Op {number} is {number}.5 steps off." in text


def test_a_summary_with_warnings_tells_each_once() -> None:
    certificate = certificate_of(CONTENT)
    missing = {"name": "kernel-set-missing", "status": "warning", "message": "'micro' is missing."}
    gates = [GateResult.of(gate, [Check(gate=gate, **missing)]) for gate in ("kernels", "runtime")]
    certificate = certificate.model_copy(
        update={"gates": (certificate.gates[0], gates[0], certificate.gates[2], gates[1])}
    )
    assert "missing" not in certificate_summary(certificate)
    told = certificate_summary(certificate, with_warnings=True).splitlines()
    assert told[2:] == ["  warning: 'micro' is missing."]


def test_details_on_demand() -> None:
    certificate = certificate_of(CONTENT)
    assert "All checks" not in text_of(certificate)
    detailed = text_of(certificate, detailed=True)
    assert "The file takes 5 of 65,536 bytes." in detailed
    assert "There was nothing to compare." in detailed


@pytest.mark.parametrize("width", [40, 80, 200])
def test_any_width(width: int) -> None:
    text = text_of(certificate_of(CONTENT, verdict="failed"), width=width)
    assert max(map(len, text.splitlines())) <= width


def test_names_cannot_steer_the_terminal() -> None:
    check = Check(
        gate="structure", name="op", status="failed", message="[red]\x1b[2J\rPASSED[/red] [1, 2]"
    )
    certificate = certificate_of(CONTENT, verdict="failed")
    gates = (GateResult.of("structure", [check]), *certificate.gates[1:])
    certificate = certificate.model_copy(update={"gates": gates})
    for text in (text_of(certificate), certificate_summary(certificate)):
        assert "[red]?[2J?PASSED[/red] [1, 2]" in text
        assert "\x1b" not in text
