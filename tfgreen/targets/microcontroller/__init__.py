"""Microcontrollers with TensorFlow Lite Micro: does the file run, and does it fit?"""

from __future__ import annotations

from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import ExportProfile
from tfgreen.targets.microcontroller.arena import report_arena
from tfgreen.targets.microcontroller.op_check import check_ops
from tfgreen.targets.report import TargetReport
from tfgreen.verification import Certificate

__all__ = ["microcontroller_report"]


def microcontroller_report(
    content: bytes, profile: ExportProfile, certificate: Certificate, *, with_files: bool = True
) -> TargetReport:
    """The op check and the arena, with its picture."""
    model = TfliteModel.from_bytes(content)
    ops = TargetReport(check_ops(model, profile))
    return ops + report_arena(model, profile, certificate, with_picture=with_files)
