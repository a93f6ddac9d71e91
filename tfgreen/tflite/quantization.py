"""From a float file and calibration data to the quantized file that a profile asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import ExportProfile
from tfgreen.tflite.audit import RangeFinding, audit_ranges
from tfgreen.tflite.boundary import with_boundary
from tfgreen.tflite.quantizers import (
    AiEdgeQuantizer,
    TensorflowInt16Quantizer,
    TensorflowQuantizer,
)
from tfgreen.tflite.rounding import with_compensated_rounding
from tfgreen.tflite.selection import (
    RANGE_METHODS,
    Candidate,
    Contender,
    Judge,
    Race,
    contender,
)
from tfgreen.tflite.statistics import ActivationStatistics, collect_statistics

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Quantized:
    """The quantized file, and how it came to be."""

    content: bytes
    winner: Candidate
    candidates: tuple[Candidate, ...]
    range_findings: tuple[RangeFinding, ...]

    def to_facts(self) -> dict[str, Any]:
        """The record for the manifest."""
        return {
            "route": {
                "quantizer": self.winner.quantizer,
                "ranges": self.winner.ranges,
                "rounding": self.winner.rounding,
            },
            "candidates": [candidate.to_facts() for candidate in self.candidates],
            "range_findings": [finding.to_facts() for finding in self.range_findings],
        }


def quantize(
    float_content: bytes,
    inputs: Sequence[np.ndarray] | None,
    profile: ExportProfile,
    on_progress: OnProgress,
) -> Quantized:
    """Quantize a float file by the profile's scheme.

    `inputs` holds the calibration runs, one array for each graph input, of shape
    (runs, *tensor shape); schemes that quantize weights alone take None.
    """
    if inputs is None or not profile.needs_calibration:
        engine = AiEdgeQuantizer(float_content, profile.scheme, per_channel=_per_channel(profile))
        only = Candidate(engine.name, "none needed")
        return Quantized(engine.quantize({}), only, (only,), ())
    statistics = collect_statistics(
        float_content, inputs, lambda done, of: on_progress("activation ranges", done, of)
    )
    race = Race(
        Judge(float_content, inputs),
        statistics.runs,
        float_op if profile.full_integer else lambda model: None,
        lambda done: on_progress("choosing ranges and rounding", done, 0),
    )
    enter = _race_int8 if profile.scheme == "int8" else _race_int16
    enter(race, float_content, inputs, statistics, per_channel=_per_channel(profile))
    race.enter(_with_rounding(race.leader[0], float_content, statistics))
    content, winner = race.finish()
    findings = audit_ranges(content, statistics)
    bounded = with_boundary(content, profile.input_type, profile.output_type)
    return Quantized(bounded, winner, tuple(race.candidates), findings)


def _race_int8(
    race: Race,
    float_content: bytes,
    inputs: Sequence[np.ndarray],
    statistics: ActivationStatistics,
    *,
    per_channel: bool,
) -> None:
    """TensorFlow's engine with all ranges, then the other engine with the best of them."""
    first_run = [array[0] for array in inputs]
    tensorflow = TensorflowQuantizer(float_content, first_run, per_channel=per_channel)
    for method in RANGE_METHODS:
        race.enter(contender(tensorflow, method, statistics))
    best = race.leader[1].ranges if race.is_led else "minmax"
    other = AiEdgeQuantizer(float_content, "int8", per_channel=per_channel)
    race.enter(contender(other, best, statistics))


def _race_int16(
    race: Race,
    float_content: bytes,
    inputs: Sequence[np.ndarray],
    statistics: ActivationStatistics,
    *,
    per_channel: bool,
) -> None:
    def build(runs: Sequence[int]) -> bytes:
        engine = TensorflowInt16Quantizer(
            float_content, _runs(inputs, runs), per_channel=per_channel
        )
        return engine.quantize({})

    first = AiEdgeQuantizer(float_content, "int16x8", per_channel=per_channel)
    race.enter(contender(first, "minmax", statistics))
    race.enter(Contender(TensorflowInt16Quantizer.name, "own calibrator", build))


def _with_rounding(
    entry: Contender, float_content: bytes, statistics: ActivationStatistics
) -> Contender:
    def build(runs: Sequence[int]) -> bytes:
        return with_compensated_rounding(entry.build(runs), float_content, statistics.subset(runs))

    return Contender(entry.quantizer, entry.ranges, build, rounding="compensated")


def _per_channel(profile: ExportProfile) -> bool:
    return profile.weight_scales == "channel"


def _runs(inputs: Sequence[np.ndarray], runs: Sequence[int]) -> list[list[np.ndarray]]:
    return [[array[run] for array in inputs] for run in runs]


def float_op(model: TfliteModel) -> str | None:
    """What keeps a file from being all integer, in words, or None."""
    names = [
        op.name
        for op in model.ops
        if any(model.tensors[i].dtype == "float32" for i in (*op.inputs, *op.outputs) if i >= 0)
    ]
    culprits = [name for name in names if name not in ("QUANTIZE", "DEQUANTIZE")] or names
    return f"leaves {culprits[0]} in float" if culprits else None
