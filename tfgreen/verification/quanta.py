"""How far two results of the same computation lie apart, counted in quanta.

A quantum is one step of the stored integer for a quantized tensor. For a float tensor it is 1e-5
of the tensor's range, but no finer than float32 itself: four units in the last place of the
largest value. A float tensor that a DEQUANTIZE made has the quantum of the integers it came from.
Integers without a scale (indices, shapes, booleans) have no such step: no difference is allowed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from tfgreen.flatbuffer import TfliteModel
from tfgreen.flatbuffer.facts import FLOAT_DTYPES

FLOAT_QUANTUM_SHARE = 1e-5
"""A float tensor's quantum, as a share of its range (largest minus smallest value)."""

_FINEST_SHARE = 4 * float(np.finfo(np.float32).eps)


@dataclass
class Comparison:
    """Differences between the truth's values of one tensor and another kernel set's, summed up.

    Args:
        quantum: Size of a quantum in the tensor's own values: 1 for integers; None for floats
            whose quantum follows from the truth's values seen so far.
    """

    quantum: float | None
    _largest: float = 0.0
    _differing: int = 0
    _total: int = 0
    _low: float = field(default=math.inf)
    _high: float = field(default=-math.inf)

    def add(self, truth: np.ndarray, other: np.ndarray) -> None:
        """Take in more values; both arrays have the same shape and dtype."""
        self._total += truth.size
        if self.quantum is None:
            low, high = finite_range(truth)
            self._low, self._high = min(self._low, low), max(self._high, high)
        steps = steps_apart(truth, other)
        if steps.size:
            self._largest = max(self._largest, float(steps.max()))
            counted = steps > self._quantum() if self.quantum is None else steps > 0
            self._differing += int(np.count_nonzero(counted))

    @property
    def max_quanta(self) -> float | None:
        """The largest difference; 0.0 if there is none, None if it is not finite."""
        if not self._largest:
            return 0.0
        quanta = self._largest / self._quantum()
        return quanta if math.isfinite(quanta) else None

    @property
    def differing_share(self) -> float:
        """Share of values that differ (floats: by more than one quantum), 0 to 1."""
        return self._differing / self._total if self._total else 0.0

    def _quantum(self) -> float:
        return self.quantum or float_quantum(self._low, self._high)


def steps_apart(truth: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Absolute differences, float64, of only those values that differ at all.

    NaN equals NaN; a NaN or an infinity against anything else is infinitely far.

    >>> steps_apart(np.int8([-128, 5, 7]), np.int8([127, 5, 6]))
    array([255.,   1.])
    """
    differs = truth != other
    if truth.dtype.kind == "f":
        differs &= ~(np.isnan(truth) & np.isnan(other))
    if not differs.any():
        return np.empty(0, np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        steps = np.abs(truth[differs].astype(np.float64) - other[differs].astype(np.float64))
    return np.where(np.isfinite(steps), steps, np.inf)


def finite_range(values: np.ndarray) -> tuple[float, float]:
    """Smallest and largest finite value; (inf, -inf) if there is none."""
    if values.size and not np.isfinite(values.sum(dtype=np.float64)):
        values = values[np.isfinite(values)]
    if not values.size:
        return math.inf, -math.inf
    return float(values.min()), float(values.max())


def float_quantum(low: float, high: float) -> float:
    """The quantum of float values that lie in a range.

    >>> float_quantum(-1.0, 3.0)
    4e-05
    """
    if low > high:
        return FLOAT_QUANTUM_SHARE
    finest = _FINEST_SHARE * max(abs(low), abs(high))
    return max(FLOAT_QUANTUM_SHARE * (high - low), finest) or FLOAT_QUANTUM_SHARE


def quantum_of(model: TfliteModel, tensor_index: int) -> float | None:
    """The quantum of a tensor in its own values; None if it follows from the float range."""
    tensor = model.tensors[tensor_index]
    if tensor.dtype not in FLOAT_DTYPES:
        return 1.0
    producer = model.producer(tensor_index)
    if producer is None or producer.name != "DEQUANTIZE":
        return None
    source = model.tensors[producer.inputs[0]].quantization
    if source is None or source.scales.size != 1:
        return None
    return float(source.scales[0])


def is_exact(model: TfliteModel, tensor_index: int) -> bool:
    """Whether a tensor holds plain integers or booleans, in which no difference is allowed."""
    tensor = model.tensors[tensor_index]
    return tensor.dtype not in FLOAT_DTYPES and tensor.quantization is None
