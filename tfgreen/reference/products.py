"""Weights ready for a matrix product that is exact in floating point.

A sum of products of integers is exact in float32 while no partial sum can reach 2**24, in float64
while none can reach 2**53. The bound is the sum of a column's absolute weights times the largest
input.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfgreen.reference.arithmetic import Floats, Integers
from tfgreen.reference.node import Node
from tfgreen.reference.requantization import (
    FLOAT32_EXACT,
    FLOAT64_EXACT,
    Factor,
    Requantizer,
    Rule,
    rule_for,
)

LARGEST_FACTOR = 256.0
"""From accumulators to quanta: here one step of the accumulator leaves the whole range."""


@dataclass(frozen=True)
class Weights:
    """Integer weights (taps, channels) as floats of sufficient precision.

    Attributes:
        matrix: float32 or float64 (taps, channels), C order.
        sums: int64 (channels,), over the taps.
        precision: `np.float32` or `np.float64`.
    """

    matrix: np.ndarray
    sums: Integers
    precision: type

    @classmethod
    def of(cls, weights: np.ndarray, largest_input: int, node: Node) -> Weights:
        """Choose the precision for inputs of at most `largest_input`."""
        wide = weights.astype(np.int64)
        bound = int(np.abs(wide).sum(axis=0).max(initial=0)) * largest_input
        if bound >= FLOAT64_EXACT:
            raise node.unsupported("sums more than 53 bits hold")
        precision = np.float32 if bound < FLOAT32_EXACT else np.float64
        return cls(np.ascontiguousarray(weights, precision), wide.sum(axis=0), precision)


def largest_input(dtype: str) -> int:
    """The largest absolute stored value of an integer dtype.

    >>> largest_input("int8"), largest_input("int16")
    (128, 32768)
    """
    limits = np.iinfo(dtype)
    return max(int(limits.max), -int(limits.min))


def channel_factor(node: Node, filter_position: int, channels: int, fallback: Rule) -> Factor:
    """From accumulators of input and filter to the output, for each channel or one for all."""
    scales = node.scales(node.input(filter_position)).astype(np.float64)
    node.expect(
        scales.size in (1, channels),
        f"has {scales.size} filter scales for {channels} output channels",
    )
    zero_points = filter_zero_points(node, filter_position)
    symmetric = not zero_points.any() or (node.op.name == "FULLY_CONNECTED" and scales.size == 1)
    node.expect(symmetric, "has filters with zero points other than 0, which no kernel takes")
    data = 2 if node.op.name == "TRANSPOSE_CONV" else 0
    effective: Floats = node.scale(node.input(data)) * scales / node.scale(node.output())
    check_factor(node, effective)
    return Factor.of(effective, rule_for(node.rounding, fallback))


def check_factor(node: Node, real: npt.ArrayLike, limit: float = LARGEST_FACTOR) -> None:
    """Refuse a factor so large that the kernels' shifts overflow."""
    largest = float(np.max(real, initial=0.0))
    node.expect(
        largest < limit,
        f"has scales whose quotient is {largest:.3g}, out of all reason: kernels take less than "
        f"{limit:.3g}. Its inputs' ranges are far too wide for its output, as where channels of "
        "very different size share a scale; bring them to one size in the float model",
    )


def filter_zero_points(node: Node, position: int) -> Integers:
    """The zero points of a filter: zeros, but for a FULLY_CONNECTED with one scale."""
    quantization = node.input(position).quantization
    return np.zeros(1, np.int64) if quantization is None else quantization.zero_points


def bias_of(node: Node, position: int, channels: int) -> Integers:
    """The bias of each channel, int64; zeros where there is none."""
    if not node.has(position):
        return np.zeros(channels, np.int64)
    bias = node.constant(position).ravel()
    node.expect(bias.size == channels, f"has {bias.size} biases for {channels} channels")
    expected = "int64" if node.output().dtype == "int16" else "int32"
    if bias.dtype != expected:  # kernels read another as if it were this one
        raise node.unsupported(f"adds a bias of {bias.dtype} to {node.output().dtype}")
    return bias.astype(np.int64)


def requantizer_of(node: Node, factor: Factor, offsets: Integers) -> Requantizer:
    """The requantizer for a node's output with its fused activation."""
    tensor = node.output()
    low, high = node.activation_range()
    return Requantizer(factor, offsets, node.zero_point(tensor), low, high, tensor.dtype)


def fallback_rule(dtype: str, rule: Rule = "double") -> Rule:
    """16-bit activations accumulate in 64 bits, and are multiplied in another way."""
    return "wide" if dtype == "int16" else rule


def samples_in(node: Node, bytes_per_sample: int, target_bytes: int) -> int:
    """How many samples a kernel takes at a time: about `target_bytes`, at least one.

    Raises:
        InvalidModelError: one sample alone exceeds the working set.
    """
    node.expect(
        bytes_per_sample <= node.working_set_bytes,
        f"needs {bytes_per_sample:,} bytes for one sample; the working set has "
        f"{node.working_set_bytes:,}",
    )
    return max(1, target_bytes // max(bytes_per_sample, 1))
