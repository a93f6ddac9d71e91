"""Microcontrollers with TensorFlow Lite Micro: does the file run, and does it fit?"""

from __future__ import annotations

from tfgreen.errors import UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.golden import Golden
from tfgreen.profile import ExportProfile
from tfgreen.targets.microcontroller.arena import report_arena
from tfgreen.targets.microcontroller.op_check import check_ops
from tfgreen.targets.microcontroller.planner import plan_arena, tail_reserve_bytes
from tfgreen.targets.microcontroller.sources import render_sources
from tfgreen.targets.report import TargetReport
from tfgreen.verification import Certificate

__all__ = ["host_processor_report", "microcontroller_report", "report_sources"]


def microcontroller_report(
    content: bytes, profile: ExportProfile, certificate: Certificate
) -> TargetReport:
    """The op check, and the arena with its picture."""
    model = TfliteModel.from_bytes(content)
    ops = TargetReport(check_ops(model, profile))
    return ops + report_arena(model, profile, certificate)


def host_processor_report(
    compiled: bytes, profile: ExportProfile, golden: Golden | None, name: str
) -> TargetReport:
    """The op check and the sources of a file that an NPU runs under TFLM.

    Args:
        compiled: The file as the NPU's compiler gave it.
        profile: Its target.
        golden: Samples for the sources' test; None for no sources at all.
        name: What they call the model.
    """
    model = TfliteModel.from_bytes(compiled)
    report = TargetReport(check_ops(model, profile))
    if golden is None:
        return report
    plan = plan_arena(model)
    needed_bytes = None if plan is None else plan.head_bytes + tail_reserve_bytes(model)
    return report + report_sources(
        compiled, profile, golden, name, arena_bytes=needed_bytes, is_measured=False
    )


def report_sources(
    content: bytes,
    profile: ExportProfile,
    golden: Golden,
    name: str,
    *,
    arena_bytes: int | None = None,
    is_measured: bool = True,
) -> TargetReport:
    """The sources to compile, or a note why there are none."""
    try:
        files = render_sources(
            content, profile, golden, name, arena_bytes=arena_bytes, is_measured=is_measured
        )
    except UnsupportedModelError as error:
        return TargetReport(notes=(f"No sources were written. {error}",))
    return TargetReport(files=files)
