"""Are the ranges in a quantized file those that the float model really has?

Every activation of the exported file is compared, by tensor name, with the minimum and maximum
that the float file reached on the calibration data. A range far too wide wastes steps; one far
too narrow clips. The winner of the selection may clip on purpose: the audit tells, it does not
judge.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tfgreen.flatbuffer import TfliteModel
from tfgreen.preprocess import STORED_RANGES
from tfgreen.tflite.statistics import ActivationStatistics

_WIDE, _NARROW = 1.25, 0.8
_FIXED_RANGE_OPS = frozenset({"SOFTMAX", "LOGISTIC", "TANH", "LOG_SOFTMAX", "L2_NORMALIZATION"})


@dataclass(frozen=True)
class RangeFinding:
    """One activation whose stored range is not the true one.

    `width_ratio` is the stored width over the true width; `clipped_share` the share of the
    sampled float values that lie outside the stored range.
    """

    tensor: str
    stored: tuple[float, float]
    true: tuple[float, float]
    width_ratio: float
    clipped_share: float

    def to_facts(self) -> dict[str, Any]:
        """The record for the manifest."""
        return asdict(self)


def audit_ranges(content: bytes, statistics: ActivationStatistics) -> tuple[RangeFinding, ...]:
    """The activations stored more than 1.25 times too wide, or narrower than 0.8 of the truth.

    Ops with a range fixed by the specification (SOFTMAX, LOGISTIC, TANH) are left out.
    """
    model = TfliteModel.from_bytes(content)
    rows = {name: row for row, name in enumerate(statistics.names)}
    findings = []
    for tensor in model.tensors:
        row = rows.get(tensor.name)
        limits = STORED_RANGES.get(tensor.dtype)
        producer = model.producer(tensor.index)
        if row is None or limits is None or tensor.is_constant or tensor.quantization is None:
            continue
        if producer is not None and producer.name in _FIXED_RANGE_OPS:
            continue
        scale = float(tensor.quantization.scales[0])
        zero_point = int(tensor.quantization.zero_points[0])
        stored = ((limits[0] - zero_point) * scale, (limits[1] - zero_point) * scale)
        low, high = statistics.extremes(tensor.name)
        finding = _compare(tensor.name, stored, (min(low, 0.0), max(high, 0.0)), statistics, row)
        if finding is not None:
            findings.append(finding)
    return tuple(findings)


def _compare(
    name: str,
    stored: tuple[float, float],
    true: tuple[float, float],
    statistics: ActivationStatistics,
    row: int,
) -> RangeFinding | None:
    width = true[1] - true[0]
    ratio = (stored[1] - stored[0]) / width if width > 0 else 1.0
    if _NARROW <= ratio <= _WIDE:
        return None
    values = statistics.values[row]
    clipped = float(np.mean((values < stored[0]) | (values > stored[1])))
    return RangeFinding(name, stored, true, round(ratio, 4), round(clipped, 6))
