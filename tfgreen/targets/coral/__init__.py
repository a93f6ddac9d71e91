"""Google's Coral Edge TPU: its compiler cannot be had, so its published rules are checked."""

from __future__ import annotations

from tfgreen.targets.coral.checking import EdgeTpuFit, Objection, check_edgetpu
from tfgreen.targets.coral.findings import coral_report

__all__ = ["EdgeTpuFit", "Objection", "check_edgetpu", "coral_report"]
