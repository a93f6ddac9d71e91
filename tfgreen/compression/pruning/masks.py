"""Which weights go, computed in NumPy: below a threshold, the smallest ones, the smallest of all.

A mask has the shape of its kernel: True where a weight stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

ThresholdUnit = Literal["absolute", "quantile", "standard-deviation"]
THRESHOLD_UNITS: tuple[ThresholdUnit, ...] = ("absolute", "quantile", "standard-deviation")


def absolute_threshold(
    threshold: float, unit: ThresholdUnit, kernels: Sequence[np.ndarray]
) -> float:
    """A layer's threshold in the weights' own unit.

    threshold: with "quantile" a share (0 to 1) of the layer's |w|, with "standard-deviation" a
        multiple of the standard deviation of the layer's weights.
    kernels: all kernels of the layer.

    >>> weights = np.array([[1.0, -2.0], [3.0, -4.0]])
    >>> absolute_threshold(0.5, "quantile", [weights])
    2.5
    >>> absolute_threshold(1.0, "standard-deviation", [np.array([[1.0, -1.0]])])
    1.0
    """
    if unit == "absolute":
        return float(threshold)
    values = np.concatenate([kernel.astype(np.float64).ravel() for kernel in kernels])
    if unit == "quantile":
        return float(np.quantile(np.abs(values), threshold))
    return float(threshold * values.std())


def kept_from(kernel: np.ndarray, threshold: float) -> np.ndarray:
    """The mask |w| >= threshold, compared in the kernel's own precision.

    >>> kept_from(np.array([[0.5, -1.0], [2.0, -0.25]]), 0.5)
    array([[ True,  True],
           [ True, False]])
    """
    return np.asarray(np.abs(kernel) >= threshold)


def largest(kernel: np.ndarray, sparsity: float) -> np.ndarray:
    """The mask that TensorFlow Model Optimization makes for a sparsity.

    It keeps round(size * (1 - sparsity)) weights, at least one, and all that equal the smallest
    of them.

    >>> largest(np.array([[0.5, -1.0], [2.0, -0.25]]), 0.5)
    array([[False,  True],
           [ True, False]])
    """
    magnitudes = np.abs(kernel)
    return np.asarray(magnitudes >= _smallest_kept(magnitudes.ravel(), sparsity))


def global_shares(kernels: Sequence[np.ndarray], sparsity: float) -> list[float]:
    """The sparsity of each kernel when all their weights are ranked together.

    >>> global_shares([np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])], 0.5)
    [1.0, 0.0]
    """
    magnitudes = np.concatenate([np.abs(kernel).ravel() for kernel in kernels])
    smallest_kept = _smallest_kept(magnitudes, sparsity)
    return [float(np.mean(np.abs(kernel) < smallest_kept)) for kernel in kernels]


def zero_share(kernels: Sequence[np.ndarray]) -> float:
    """The share of exact zeros (0 to 1) among all values of some kernels."""
    size = sum(kernel.size for kernel in kernels)
    return 1 - sum(int(np.count_nonzero(kernel)) for kernel in kernels) / size if size else 0.0


def _smallest_kept(magnitudes: np.ndarray, sparsity: float) -> Any:
    """The count is taken in float32 and rounded half to even, as TensorFlow does it."""
    share = np.float32(1) - np.float32(sparsity)
    kept = max(int(np.round(np.float32(magnitudes.size) * share)), 1)
    cut = magnitudes.size - kept
    return np.partition(magnitudes, cut)[cut]
