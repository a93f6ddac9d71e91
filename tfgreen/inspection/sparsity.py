"""Counting exact zeros among weights, array by array."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_KERNEL_DIMENSIONS = 2


@dataclass
class ZeroCount:
    """Zeros among the weights of two and more dimensions seen so far.

    Vectors (biases, statistics) do not count: they start as zeros and nobody prunes them.

    >>> count = ZeroCount()
    >>> count.add(np.array([[0, 1], [2, 3]]))
    >>> count.add(np.zeros(4))
    >>> count.share
    0.25
    """

    zeros: int = 0
    values: int = 0

    def add(self, array: np.ndarray, zero: int = 0) -> None:
        """Count an array whose stored value for zero is `zero`."""
        if array.ndim >= _KERNEL_DIMENSIONS:
            self.zeros += int(array.size - np.count_nonzero(array - zero if zero else array))
            self.values += int(array.size)

    def merge(self, other: ZeroCount) -> None:
        """Count all that another has counted."""
        self.zeros += other.zeros
        self.values += other.values

    @property
    def share(self) -> float | None:
        """Zeros over values (0 to 1); None when nothing was counted."""
        return round(self.zeros / self.values, 6) if self.values else None
