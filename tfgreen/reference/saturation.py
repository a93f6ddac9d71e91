"""The overflow and saturation audit: which tensor clips, and how full the accumulators get."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tfgreen.flatbuffer import Op, Tensor, TfliteModel

_PRODUCTS = frozenset(
    {"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL"}
)


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
        accumulator_bits: Width of that accumulator: 64 where products of 16-bit activations are
            summed, 32 else, also for a MEAN or SUM of 16-bit activations.
    """

    index: int
    name: str
    op: str
    lowest_share: float
    highest_share: float
    peak_accumulator: int | None = None
    accumulator_bits: int = 32

    @property
    def headroom_bits(self) -> float | None:
        """How often the largest accumulator could double before it overflows; below 0 it did.

        Rounded down to thousandths, so that an overflow by one is below 0 too.

        >>> TensorAudit(0, "conv", "CONV_2D", 0.0, 0.0, 1 << 20).headroom_bits
        11.0
        """
        if self.peak_accumulator is None:
            return None
        bits = self.accumulator_bits - 1  # without the sign
        thousandths = math.floor(1000 * (bits - math.log2(max(self.peak_accumulator, 1))))
        overflows = self.peak_accumulator >> bits > 0
        return (min(thousandths, -1) if overflows else max(thousandths, 0)) / 1000


class Saturation:
    """Counts of one quantized tensor's values at the ends of its range, part by part.

    Attributes:
        total: Values so far.
    """

    def __init__(self) -> None:
        self.total = self._lowest = self._highest = 0

    def add(self, values: np.ndarray) -> None:
        """Take in a part of the tensor's values, integers of any shape."""
        limits = np.iinfo(values.dtype)
        self.total += values.size
        self._lowest += int(np.count_nonzero(values == limits.min))
        self._highest += int(np.count_nonzero(values == limits.max))

    def audit(
        self, model: TfliteModel, tensor_index: int, peak_accumulator: int | None
    ) -> TensorAudit:
        """The audit of the tensor whose values were added."""
        tensor, producer = model.tensors[tensor_index], model.producer(tensor_index)
        return TensorAudit(
            index=tensor_index,
            name=tensor.name,
            op=producer.name if producer is not None else "",
            lowest_share=self._lowest / max(self.total, 1),
            highest_share=self._highest / max(self.total, 1),
            peak_accumulator=peak_accumulator,
            accumulator_bits=_accumulator_bits(tensor, producer),
        )


def _accumulator_bits(output: Tensor, producer: Op | None) -> int:
    """Of the kernels that the interpreter has; products of int16 have a bias of 64 bits."""
    is_product = producer is not None and producer.name in _PRODUCTS
    return 64 if is_product and output.dtype == "int16" else 32
