"""The figures of an NPU as text."""

from __future__ import annotations

from rich.console import Group

from tests.certificates import certificate_of
from tests.targets import npu_files
from tests.tiny_models import int8_classifier
from tfgreen.profile import load_profile
from tfgreen.reporting.certificate_text import render_certificate
from tfgreen.reporting.npu_text import render_npu
from tfgreen.reporting.summary import headline
from tfgreen.reporting.tables import to_text
from tfgreen.targets.coral import check_edgetpu, coral_report
from tfgreen.targets.ethos_u import Compiled, NpuFigures, npu_report
from tfgreen.targets.ethos_u.compilation import CpuOp

PROFILE = load_profile("ethos-u55-int8")
assert PROFILE.vela is not None
FIGURES = NpuFigures(
    cycles=95_818,
    inference_seconds=95_818 / 500e6,
    clock_hertz=500e6,
    sram_bytes=22_432,
    dram_bytes=0,
    flash_bytes=32_848,
    vela_macs=2_664_792,
    original_weights_bytes=22_032,
    encoded_weights_bytes=25_360,
    cpu_op_count=1,
)
COMPILED = Compiled(
    PROFILE.vela,
    "compiled",
    version="5.2.0",
    content=b"x" * 40_000,
    figures=FIGURES,
    cpu_ops=(CpuOp("GATHER 'pick'", "pick", " of layer 'pick'", "Unsupported opType", False),),
    op_count=12,
    macs=2_000,
    npu_macs=1_500,
)


def shown(target: dict[str, object]) -> str:
    return to_text(Group(*render_npu(target)), 160)


def test_the_figures_of_vela() -> None:
    text = shown(dict(npu_report(COMPILED, PROFILE).facts))
    assert "ethos-u55-128, Ethos_U55_High_End_Embedded, Shared_Sram; Vela 5.2.0's own" in text
    rows = dict(line.strip().split("  ", 1) for line in text.splitlines() if "  " in line.strip())
    told = {name: value.strip() for name, value in rows.items()}
    assert told["cycles"] == "95,818"
    assert told["one inference"] == "0.192 ms at 500 MHz"
    assert told["SRAM"] == "22,432 bytes"
    assert told["flash"] == "32,848 bytes"
    assert "DRAM" not in told
    assert told["multiply-accumulates"] == "2,000, 75.0 % of them on the NPU"
    assert told["ops on the CPU"] == "1 of 12"
    assert "GATHER 'pick'" in text and "Unsupported opType" in text


def test_the_certificate_shows_them() -> None:
    plain = certificate_of(int8_classifier()).model_copy(update={"arena_bytes": 50_000})
    certificate = npu_report(COMPILED, PROFILE).on(plain)
    assert "SRAM 21.9 KB" in headline(certificate) and "arena" not in headline(certificate)
    assert "arena 48.8 KB" in headline(plain)
    assert "95,818" in to_text(render_certificate(certificate), 160)


def test_the_rules_of_the_edge_tpu() -> None:
    text = shown(dict(coral_report(check_edgetpu(npu_files.conv_and_gather())).facts))
    assert "1 of 2, by the published rules" in text
    assert "runtime 14" in text


def test_nothing_for_other_targets() -> None:
    assert shown({}).strip() == ""
    missing = Compiled(PROFILE.vela, "missing", "not installed")
    assert shown(dict(npu_report(missing, PROFILE).facts)).strip() == ""
