"""Microcontrollers with TensorFlow Lite Micro: does the file run, and does it fit?"""

from __future__ import annotations

from tfgreen.errors import UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.golden import Golden
from tfgreen.profile import ExportProfile
from tfgreen.targets.microcontroller.arena import report_arena
from tfgreen.targets.microcontroller.op_check import check_ops
from tfgreen.targets.microcontroller.sources import render_sources
from tfgreen.targets.report import TargetReport
from tfgreen.verification import Certificate

__all__ = ["microcontroller_report", "report_sources"]


def microcontroller_report(
    content: bytes, profile: ExportProfile, certificate: Certificate
) -> TargetReport:
    """The op check, and the arena with its picture."""
    model = TfliteModel.from_bytes(content)
    ops = TargetReport(check_ops(model, profile))
    return ops + report_arena(model, profile, certificate)


def report_sources(
    content: bytes,
    profile: ExportProfile,
    golden: Golden,
    name: str,
    *,
    arena_bytes: int | None = None,
) -> TargetReport:
    """The sources to compile, or a note why there are none."""
    try:
        files = render_sources(content, profile, golden, name, arena_bytes=arena_bytes)
    except UnsupportedModelError as error:
        return TargetReport(notes=(f"No sources were written. {error}",))
    return TargetReport(files=files)
