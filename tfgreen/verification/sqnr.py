"""The signal-to-quantization-noise ratio: how much of a tensor is what the float model meant.

    SQNR = 10 * log10( sum(float ** 2) / sum((float - file) ** 2) )   in dB

taken over all values of all samples, as real numbers. 10 dB more means a tenth of the noise power.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfgreen.flatbuffer import Quantization, TfliteModel
from tfgreen.profile import Limits
from tfgreen.runtimes import dequantize

SQNR_FLOOR_DB = -200.0
"""Told where the float model gives nothing but zeros and the file does not."""


@dataclass
class Power:
    """Signal and noise power, summed over portions of values.

    >>> power = Power()
    >>> power.add(np.array([3.0, 4.0]), np.array([3.0, 4.5]))  # signal 25, noise 0.25
    >>> power.sqnr_db
    20.0
    """

    signal: float = 0.0
    noise: float = 0.0

    def add(self, true: np.ndarray, approximate: np.ndarray) -> None:
        """Take in values of one shape: what is right, and what is held against it."""
        wanted = true.astype(np.float64).ravel()
        error = wanted - approximate.ravel()
        self.signal += float(wanted @ wanted)
        self.noise += float(error @ error)

    @property
    def is_finite(self) -> bool:
        """False once a NaN or an infinity was among the values."""
        return math.isfinite(self.signal) and math.isfinite(self.noise)

    @property
    def sqnr_db(self) -> float | None:
        """The ratio in dB; None if there is no noise at all (an infinite ratio)."""
        if not self.noise:
            return None
        if not self.signal:
            return SQNR_FLOOR_DB
        return max(SQNR_FLOOR_DB, 10 * math.log10(self.signal / self.noise))


def output_sqnr_db(
    model: TfliteModel, position: int, truth: np.ndarray, other: np.ndarray
) -> float | None:
    """The SQNR of an output on another kernel set, as real numbers, in dB; None without noise.

    Args:
        truth, other: Stored values of one shape; those that are not finite are left out.
    """
    quantization = model.tensors[model.outputs[position]].quantization
    wanted, given = dequantize(truth, quantization), dequantize(other, quantization)
    finite = np.isfinite(wanted) & np.isfinite(given)
    power = Power()
    power.add(wanted[finite], given[finite])
    return power.sqnr_db


def is_noisy(sqnr_db: float | None, max_quanta: float, limits: Limits) -> bool:
    """Whether a kernel set strays too far from the truth, where there is no class to compare.

    Steps that the kernels gate allows a single op are never too far: of an output that is all
    but zero they are more than its signal.

    >>> is_noisy(3.0, 255, Limits()), is_noisy(12.0, 40, Limits()), is_noisy(-200.0, 1, Limits())
    (True, False, False)
    """
    return sqnr_db is not None and sqnr_db < limits.sqnr_db and max_quanta > limits.op_quanta


def rounded_to(
    real: np.ndarray, quantization: Quantization | None, dtype: np.dtype[Any]
) -> np.ndarray:
    """Real numbers as they are once stored with a scale: the least loss there can be.

    >>> half = Quantization(np.array([0.5], np.float32), np.array([0]), None)
    >>> rounded_to(np.array([0.6, 100.0], np.float32), half, np.dtype("int8"))
    array([ 0.5, 63.5], dtype=float32)
    """
    if quantization is None or quantization.scales.size != 1:
        return real
    limits = np.iinfo(dtype)
    scale, zero_point = quantization.scales[0], quantization.zero_points[0]
    with np.errstate(invalid="ignore", over="ignore"):
        stored = np.clip(np.round(real / scale) + zero_point, limits.min, limits.max)
    return ((stored - zero_point) * scale).astype(np.float32)
