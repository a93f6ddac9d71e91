"""Arm's Ethos-U: what Vela, its compiler, makes of a file, and what that says about the target."""

from __future__ import annotations

from tfgreen.targets.ethos_u.compilation import Compiled, CpuOp, compile_for_npu
from tfgreen.targets.ethos_u.figures import NpuFigures
from tfgreen.targets.ethos_u.findings import npu_report

__all__ = ["Compiled", "CpuOp", "NpuFigures", "compile_for_npu", "npu_report"]
