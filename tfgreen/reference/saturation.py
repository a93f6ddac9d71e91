"""The overflow and saturation audit: which tensor clips, and how full the accumulators get."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfgreen.flatbuffer import Tensor
from tfgreen.reference.arithmetic import INT32_MAX


@dataclass(frozen=True)
class TensorAudit:
    """How one tensor used its range.

    Attributes:
        index: Of the tensor.
        name: Of the tensor.
        op: Name of the op that wrote it; "" for a graph input.
        lowest_share: Share of values at the smallest value of the dtype. After a RELU, whose zero
            lies there, it is the share of zeros and no loss.
        highest_share: Share of values at the largest value of the dtype.
        peak_accumulator: Largest absolute accumulator of the op; None where there is none.
    """

    index: int
    name: str
    op: str
    lowest_share: float
    highest_share: float
    peak_accumulator: int | None = None

    @property
    def headroom_bits(self) -> float | None:
        """How often the largest accumulator could double before 32 bits overflow.

        >>> TensorAudit(0, "conv", "CONV_2D", 0.0, 0.0, 1 << 20).headroom_bits
        11.0
        """
        if self.peak_accumulator is None:
            return None
        return float(round(np.log2((INT32_MAX + 1) / max(self.peak_accumulator, 1)), 3))


def audit_of(
    tensor: Tensor, op: str, arrays: list[np.ndarray], peak_accumulator: int | None
) -> TensorAudit:
    """The audit of one quantized tensor from its values, in parts."""
    limits = np.iinfo(arrays[0].dtype)
    total = max(sum(array.size for array in arrays), 1)
    lowest = sum(int(np.count_nonzero(array == limits.min)) for array in arrays)
    highest = sum(int(np.count_nonzero(array == limits.max)) for array in arrays)
    return TensorAudit(
        tensor.index, tensor.name, op, lowest / total, highest / total, peak_accumulator
    )
