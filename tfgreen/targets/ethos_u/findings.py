"""What a compiled file says about its target: checks, facts, the file for the bundle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import Budgets, ExportProfile
from tfgreen.targets.ethos_u.compilation import Compiled, CpuOp
from tfgreen.targets.ethos_u.figures import NpuFigures
from tfgreen.targets.microcontroller.planner import tail_reserve_bytes
from tfgreen.targets.report import TargetReport
from tfgreen.verification.certificate import Check, CheckStatus
from tfgreen.verification.labels import counted
from tfgreen.verification.structure import within_budget
from tfgreen.wording import share_text

FILE_NAME = "model_vela.tflite"

_MOST_NAMED = 10
_ENDINGS = {
    "refused": ("gave up on the file", "change what it names in the model or the [vela] table"),
    "crashed": (
        "died while it compiled the file",
        "give 4-bit weights 8 bits if there are any, or try another version of ethos-u-vela",
    ),
    "timed-out": ("did not end", "try another version of ethos-u-vela"),
}


def npu_report(compiled: Compiled, profile: ExportProfile) -> TargetReport:
    """The checks, facts and files of a file that was compiled for an NPU, or was not.

    An op on the CPU is a warning: it works, slowly. No op on the NPU, memory over budget, and a
    Vela that dies, refuses or does not end are failures; a Vela that is not installed is a
    warning. `arena-bytes` and `file-bytes` are of the compiled file, which is what is flashed.
    """
    facts = {"npu": compiled.to_facts()}
    if compiled.figures is None:
        return TargetReport((_not_compiled(compiled),), facts)
    checks = (
        _compiled(compiled, compiled.figures),
        _placement(compiled, compiled.figures),
        *_cpu_ops(compiled),
        *_memory(compiled, compiled.figures, profile.budgets),
    )
    return TargetReport(checks, facts, {FILE_NAME: compiled.content})


def _check(name: str, status: CheckStatus, message: str, **facts: Any) -> Check:
    return Check(gate="structure", name=name, status=status, message=message, **facts)


def _not_compiled(compiled: Compiled) -> Check:
    accelerator = compiled.settings.accelerator_config
    if compiled.status == "missing":
        text = f"The file was not compiled for {accelerator}: {compiled.words}"
        return _check("npu-compilation", "warning", text)
    how, way_out = _ENDINGS[compiled.status]
    text = (
        f"Vela {compiled.version} {how} for {accelerator}, so there is nothing for the NPU to run "
        f"({compiled.words}); {way_out}."
    )
    return _check("npu-compilation", "failed", text)


def _compiled(compiled: Compiled, figures: NpuFigures) -> Check:
    settings = compiled.settings
    text = (
        f"Vela {compiled.version} compiled the file for {settings.accelerator_config} "
        f"({settings.system_config}, {settings.memory_mode}): {counted(figures.cycles, 'cycle')}, "
        f"{figures.inference_seconds * 1000:.3g} ms at {figures.clock_hertz / 1e6:,.0f} MHz, by "
        "its own estimate."
    )
    return _check("npu-compilation", "passed", text, measured=figures.cycles, unit="cycles")


def _placement(compiled: Compiled, figures: NpuFigures) -> Check:
    left, share = figures.cpu_op_count, compiled.npu_share_of_macs
    facts: dict[str, Any] = {"measured": left, "limit": 0, "unit": "ops"}
    whole = counted(compiled.op_count, "op")
    if not left:
        return _check("npu-placement", "passed", f"The NPU runs all {whole} of the file.", **facts)
    if left >= compiled.op_count:
        text = f"Vela leaves all {whole} to the CPU, so the NPU would stand idle; export in int8."
        return _check("npu-placement", "failed", text, **facts)
    macs = (
        "" if share is None else f"; the NPU does {share_text(share)} of the multiply-accumulates"
    )
    text = f"Of {whole}, {left} {'stays' if left == 1 else 'stay'} on the CPU{macs}."
    return _check("npu-placement", "warning", text, **facts)


def _cpu_ops(compiled: Compiled) -> Iterator[Check]:
    for one in compiled.cpu_ops[:_MOST_NAMED]:
        reason = f" ({one.reason.rstrip('.')})" if one.reason else ""
        text = f"{one.op}{one.where} stays on the CPU{reason}; {_way_out(one)}."
        yield _check("npu-op", "warning", text, op=one.op)
    rest = len(compiled.cpu_ops) - _MOST_NAMED
    if rest > 0:
        yield _check("npu-op", "warning", f"On the CPU stay {counted(rest, 'more op')}.")


def _way_out(one: CpuOp) -> str:
    if one.is_boundary:
        return "take integers at the file's boundary, with --io int8"
    if one.op.startswith(("QUANTIZE", "DEQUANTIZE")) or "DataType Float" in one.reason:
        return "replace the layer that computes in float by one that is quantized"
    if "opType" in one.reason or not one.reason:
        return "replace the layer, or let the CPU run it, which then needs this kernel of TFLM"
    return "change the layer's shape, stride or size accordingly, or let the CPU run it"


def _memory(compiled: Compiled, figures: NpuFigures, budgets: Budgets) -> Iterator[Check]:
    text = "In Vela's plan the SRAM takes"
    check = within_budget("arena-bytes", text, figures.sram_bytes, budgets.arena_bytes)
    check = _with_reserve(check, compiled, figures)
    yield _with_way_out(check, "make the widest layers narrower, or raise --arena")
    text = "The compiled file takes"
    if figures.flash_bytes:
        flash = counted(figures.flash_bytes, "byte")
        text = f"The compiled file, with {flash} that the NPU reads from flash, takes"
    check = within_budget("file-bytes", text, len(compiled.content), budgets.file_bytes)
    yield _with_way_out(check, "prune or narrow the network, or raise --flash")


def _with_reserve(check: Check, compiled: Compiled, figures: NpuFigures) -> Check:
    """A warning where the SRAM is within its budget, and what TFLM keeps beside it may not be."""
    budget_bytes = check.limit
    is_cache = compiled.settings.memory_mode.startswith("Dedicated")
    if check.status != "passed" or not isinstance(budget_bytes, int) or is_cache:
        return check
    reserve_bytes = tail_reserve_bytes(TfliteModel.from_bytes(compiled.content))
    if figures.sram_bytes + reserve_bytes <= budget_bytes:
        return check
    text = (
        f"{check.message.rstrip('.')}, and what TFLM keeps of every op comes on top: with a "
        f"reserve of {reserve_bytes:,} bytes it is over the budget."
    )
    return check.model_copy(update={"status": "warning", "message": text})


def _with_way_out(check: Check, way_out: str) -> Check:
    if check.status != "failed":
        return check
    return check.model_copy(update={"message": f"{check.message.rstrip('.')}; {way_out}."})
