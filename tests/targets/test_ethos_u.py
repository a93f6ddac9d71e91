"""Vela's figures against a direct run of Vela, its failures, and what gates say of both."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.targets import npu_files
from tests.tiny_models import int8_classifier
from tfgreen.errors import InvalidModelError, UsageError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import ExportProfile, load_profile
from tfgreen.targets.ethos_u import Compiled, NpuFigures, compilation, compile_for_npu, npu_report
from tfgreen.targets.ethos_u.findings import FILE_NAME
from tfgreen.verification.certificate import Check

pytest.importorskip("ethosu.vela")

U55 = load_profile("ethos-u55-int8")
PROFILES = ("ethos-u55-int8", "ethos-u65-int8", "ethos-u85-int8")


def checks_of(compiled: Compiled, profile: ExportProfile = U55) -> dict[str, Check]:
    """By name; of several the last."""
    return {check.name: check for check in npu_report(compiled, profile).checks}


def direct_run(content: bytes, profile: ExportProfile, folder: Path) -> tuple[bytes, dict, str]:
    """Vela on the command line, as its manual has it: file, summary row, what it printed."""
    settings = profile.vela
    assert settings is not None
    (folder / "net.tflite").write_bytes(content)
    command = [
        *(sys.executable, "-m", "ethosu.vela", str(folder / "net.tflite")),
        f"--accelerator-config={settings.accelerator_config}",
        f"--system-config={settings.system_config}",
        f"--memory-mode={settings.memory_mode}",
        "--config=Arm/vela.ini",
        f"--output-dir={folder}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    (summary,) = folder.glob("net_summary_*.csv")
    with summary.open(encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    return (folder / "net_vela.tflite").read_bytes(), row, done.stdout


def assert_same_as_direct(content: bytes, profile: ExportProfile, folder: Path) -> Compiled:
    compiled = compile_for_npu(content, profile)
    file, row, printed = direct_run(content, profile, folder)
    figures = compiled.figures
    assert figures is not None
    assert compiled.content == file
    assert figures.cycles == float(row["cycles_total"])
    assert figures.inference_seconds == float(row["inference_time"])
    assert figures.sram_bytes == float(row["sram_memory_used"]) * 1024
    assert figures.dram_bytes == float(row["dram_memory_used"]) * 1024
    assert figures.flash_bytes == 1024 * (
        float(row["on_chip_flash_memory_used"]) + float(row["off_chip_flash_memory_used"])
    )
    assert figures.vela_macs == float(row["nn_macs"])
    assert f"CPU operators = {figures.cpu_op_count} (" in printed
    sram = re.search(r"Total SRAM used +([\d.]+) KiB", printed)
    assert sram is None or abs(figures.sram_bytes / 1024 - float(sram[1])) < 0.006
    return compiled


@pytest.mark.parametrize("name", PROFILES)
def test_figures_are_those_of_a_direct_run(name: str, tmp_path: Path) -> None:
    compiled = assert_same_as_direct(npu_files.conv_and_gather(), load_profile(name), tmp_path)
    assert compiled.status == "compiled"
    assert compiled.macs == compiled.npu_macs == npu_files.PLACES * 4 * 27
    assert compiled.npu_share_of_macs == 1.0
    assert json.loads(json.dumps(compiled.to_facts(), allow_nan=False))["cycles"] > 0


def test_two_runs_give_the_same_bytes() -> None:
    assert compile_for_npu(npu_files.conv(), U55) == compile_for_npu(npu_files.conv(), U55)


def test_all_on_the_npu() -> None:
    compiled = compile_for_npu(int8_classifier(), U55)
    assert compiled.cpu_ops == ()
    assert {op.name for op in TfliteModel.from_bytes(compiled.content).ops} == {"CUSTOM:ethos-u"}
    report = npu_report(compiled, U55)
    assert [check.status for check in report.checks] == ["passed"] * 4
    assert report.files == {FILE_NAME: compiled.content}
    assert "runs all 2 ops" in checks_of(compiled)["npu-placement"].message


def test_an_op_on_the_cpu_is_a_warning_with_its_layer_and_a_way_out() -> None:
    compiled = compile_for_npu(npu_files.conv_and_gather(), U55)
    (left,) = compiled.cpu_ops
    assert (left.layer, left.is_boundary) == ("pick", False)
    check = checks_of(compiled)["npu-op"]
    assert check.status == "warning"
    assert check.message.startswith("GATHER 'm_1/pick_1/GatherV2' of layer 'pick' stays on the CPU")
    assert "replace the layer" in check.message
    placement = checks_of(compiled)["npu-placement"]
    assert (placement.status, placement.measured) == ("warning", 1)
    assert placement.message.startswith("Of 2 ops, 1 stays on the CPU")


def test_float_at_the_boundary_stays_on_the_cpu() -> None:
    compiled = compile_for_npu(npu_files.conv_between_floats(), U55)
    assert [one.is_boundary for one in compiled.cpu_ops] == [True, True]
    assert compiled.figures is not None
    assert compiled.figures.cpu_op_count == 2
    assert "--io int8" in checks_of(compiled)["npu-op"].message


def test_an_idle_npu_fails() -> None:
    compiled = compile_for_npu(npu_files.gather_alone(), U55)
    check = checks_of(compiled)["npu-placement"]
    assert check.status == "failed"
    assert "all 1 op to the CPU" in check.message
    assert compiled.npu_share_of_macs is None


def test_many_ops_on_the_cpu_are_counted() -> None:
    compiled = compile_for_npu(npu_files.many_gathers(13), U55)
    named = [check for check in npu_report(compiled, U55).checks if check.name == "npu-op"]
    assert len(named) == 11
    assert named[-1].message == "On the CPU stay 3 more ops."


@pytest.mark.parametrize(
    ("memory_mode", "beyond_bytes", "status"),
    [
        ("Shared_Sram", -1, "failed"),
        ("Shared_Sram", 0, "warning"),
        ("Shared_Sram", 4096 + 1024 - 1, "warning"),
        ("Shared_Sram", 4096 + 1024, "passed"),
        ("Dedicated_Sram", 1, "passed"),
    ],
)
def test_what_tflm_keeps_beside_the_npu_s_memory_counts_too(
    memory_mode: str, beyond_bytes: int, status: str
) -> None:
    """All of it is one op "ethos-u": 4 KB and 1 KB are kept in reserve, but not in a cache."""
    profile = U55
    if memory_mode == "Dedicated_Sram":
        settings = {"memory_mode": memory_mode, "system_config": "Ethos_U65_High_End"}
        profile = load_profile("ethos-u65-int8").with_overrides(vela=settings)
    compiled = compile_for_npu(npu_files.conv(), profile)
    assert compiled.figures is not None
    profile = profile.with_overrides(arena=compiled.figures.sram_bytes + beyond_bytes)
    check = checks_of(compiled, profile)["arena-bytes"]
    assert check.status == status
    assert ("reserve of 5,120 bytes" in check.message) == (status == "warning")


@pytest.mark.parametrize(("arena", "status"), [(10**6, "passed"), (100, "failed")])
def test_budgets_hold_for_the_compiled_file(arena: int, status: str) -> None:
    profile = U55.with_overrides(arena=arena, flash=arena)
    compiled = compile_for_npu(npu_files.conv(), profile)
    assert compiled.figures is not None
    found = checks_of(compiled, profile)
    assert (found["arena-bytes"].status, found["file-bytes"].status) == (status, status)
    assert ("raise --arena" in found["arena-bytes"].message) == (status == "failed")
    assert found["arena-bytes"].measured == compiled.figures.sram_bytes
    assert found["file-bytes"].measured == len(compiled.content)


def test_vela_dies_of_a_4_bit_convolution() -> None:
    compiled = compile_for_npu(npu_files.conv("int4"), U55)
    assert (compiled.status, compiled.content) == ("crashed", b"")
    check = checks_of(compiled)["npu-compilation"]
    assert check.status == "failed"
    assert "SIGFPE" in check.message
    assert "give 4-bit weights 8 bits" in check.message
    assert npu_report(compiled, U55).files == {}


def test_vela_gives_up() -> None:
    missing = U55.with_overrides(vela={"config_file": "boards/mine.ini"})
    check = checks_of(compile_for_npu(npu_files.conv(), missing))["npu-compilation"]
    assert check.status == "failed"
    assert "there is no configuration file boards/mine.ini" in check.message


def test_an_error_of_vela_is_told_without_a_traceback(tmp_path: Path) -> None:
    own = tmp_path / "mine.ini"
    own.write_text("[System_Config.Other]\ncore_clock=1e9\n")
    profile = U55.with_overrides(vela={"config_file": str(own)})
    compiled = compile_for_npu(npu_files.conv(), profile)
    assert compiled.status == "refused"
    assert "Traceback" not in compiled.words
    assert "\n" not in compiled.words


def test_a_board_of_ones_own(tmp_path: Path) -> None:
    import ethosu.vela

    arm = Path(ethosu.vela.__file__).parents[1] / "config_files" / "Arm" / "vela.ini"
    own = tmp_path / "mine.ini"
    text = arm.read_text(encoding="utf-8").replace("Ethos_U55_High_End_Embedded", "My_Board")
    own.write_text(text.replace("core_clock=500e6", "core_clock=250e6"), encoding="utf-8")
    settings = {"config_file": str(own), "system_config": "My_Board"}
    compiled = compile_for_npu(npu_files.conv(), U55.with_overrides(vela=settings))
    assert compiled.figures is not None
    assert compiled.figures.clock_hertz == 250e6


def test_vela_does_not_end() -> None:
    compiled = compile_for_npu(npu_files.conv(), U55, timeout_seconds=0.01)
    assert compiled.status == "timed-out"
    assert "no answer within 0.01 seconds" in checks_of(compiled)["npu-compilation"].message


def test_vela_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "installed_version", lambda package: None)
    compiled = compile_for_npu(npu_files.conv(), U55)
    check = checks_of(compiled)["npu-compilation"]
    assert check.status == "warning"
    assert check.message.endswith('ethos-u-vela is not installed: pip install "tfgreen[mcu]"')
    assert json.dumps(compiled.to_facts())


def test_what_vela_writes_otherwise_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    run = compilation.run_vela(npu_files.conv(), U55.vela, 60)  # type: ignore[arg-type]
    other = type(run)("compiled", "", run.content, "a,b\n1,2\n", run.output)
    monkeypatch.setattr(compilation, "run_vela", lambda *arguments: other)
    compiled = compile_for_npu(npu_files.conv(), U55)
    assert compiled.status == "refused"
    assert "cannot be read" in compiled.words
    with pytest.raises(ValueError, match="count of CPU operators"):
        NpuFigures.read(run.summary, "nothing")


def test_refusals() -> None:
    with pytest.raises(UsageError, match="names no NPU"):
        compile_for_npu(npu_files.conv(), load_profile("mobile-int8"))
    with pytest.raises(InvalidModelError):
        compile_for_npu(npu_files.conv()[:100], U55)
