"""From accumulators to stored integers: in floating point, and exactly only next to a tie.

A multiplication by a factor in floating point errs by far less than a quantum, so that it rounds
to another integer than the kernels' integer arithmetic only where the product lies next to a tie:
within `_tie_zone` of it. Those few elements are computed again as the kernel does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tfgreen.reference.arithmetic import (
    Floats,
    Integers,
    multiply_double,
    multiply_single,
    multiply_wide,
    quantized_multiplier,
    reduced_multiplier,
    round_half_away,
)

Rounding = Literal["reference", "micro", "xnnpack"]
"""Whose arithmetic: that of LiteRT's reference kernels, TensorFlow Lite Micro or XNNPACK."""

Rule = Literal["double", "single", "wide", "away", "even"]
"""How a kernel multiplies by a real factor; see `tfgreen.reference.arithmetic`."""

FLOAT32_EXACT = 1 << 24
"""Integers up to here are exact in float32."""
FLOAT64_EXACT = 1 << 53

_BLOCK_VALUES = 1 << 16
_UNIFORM = 0.02
_BEYOND = 0.4
_LONG_ROW_VALUES = 512


@dataclass(frozen=True)
class Factor:
    """A real factor for each channel (or one for all), and the rule to multiply by it.

    Attributes:
        real: float64 (channels,) or (1,): the factor that is stored, after its own rounding.
        multiplier: int64, the stored multiplier of each.
        exponent: int64, its exponent.
        rule: How to round.
    """

    real: Floats
    multiplier: Integers
    exponent: Integers
    rule: Rule

    @classmethod
    def of(cls, real: npt.ArrayLike, rule: Rule) -> Factor:
        """The factor as the kernels store it.

        >>> Factor.of(0.3, "double").multiply(np.array([10, 5])).tolist()
        [3, 2]
        """
        exact = np.atleast_1d(np.asarray(real, np.float64))
        if rule == "away":
            return cls(exact, np.zeros_like(exact, np.int64), np.zeros_like(exact, np.int64), rule)
        multiplier, exponent = quantized_multiplier(exact)
        if rule == "even":
            return cls(exact.astype(np.float32).astype(np.float64), multiplier, exponent, rule)
        return cls.from_multiplier(multiplier, exponent, rule)

    @classmethod
    def from_multiplier(cls, multiplier: Any, exponent: Any, rule: Rule) -> Factor:
        """A factor that is given in its stored form."""
        multiplier, exponent = np.atleast_1d(multiplier), np.atleast_1d(exponent)
        if rule == "wide":
            stored = np.ldexp(reduced_multiplier(multiplier).astype(np.float64), exponent - 15)
        else:
            stored = np.ldexp(multiplier.astype(np.float64), exponent - 31)
        return cls(stored, multiplier, exponent, rule)

    def multiply(self, values: npt.ArrayLike, channels: Any = slice(None)) -> Integers:
        """Products as the kernel rounds them; `channels` picks the factor of each value."""
        if self.rule == "away":
            product = np.asarray(values, np.float64) * self.real[channels]
            return round_half_away(product).astype(np.int64)
        if self.rule == "even":
            exact = np.asarray(values, np.float64).astype(np.float32)
            return np.rint(exact * self.real[channels].astype(np.float32)).astype(np.int64)
        by_rule = {"double": multiply_double, "single": multiply_single, "wide": multiply_wide}
        return by_rule[self.rule](values, self.multiplier[channels], self.exponent[channels])

    @property
    def spread(self) -> Floats:
        """How far the rule's result may lie from the exact product before its last rounding."""
        if self.rule == "double":
            return np.where(self.exponent >= 0, 1.0, np.exp2(self.exponent - 1.0))
        if self.rule == "even":
            return np.full_like(self.real, 2.0**-13)
        return np.zeros_like(self.real)


class Requantizer:
    """Turns rows of accumulators, one column a channel, into stored integers.

    Args:
        factor: From accumulators to output quanta, for each channel or one for all.
        offsets: int64 (channels,), added to the accumulators first: the bias and what the zero
            points contribute.
        zero_point: Of the output.
        low: Smallest stored value, the fused activation included.
        high: Largest stored value.
        dtype: Of the output: "int8", "uint8" or "int16".
    """

    def __init__(
        self,
        factor: Factor,
        offsets: Integers,
        zero_point: int,
        low: int,
        high: int,
        dtype: str,
    ) -> None:
        self.factor = factor
        self.low, self.high, self.zero_point = low, high, zero_point
        self.dtype = np.dtype(dtype)
        self.offsets = np.atleast_1d(np.asarray(offsets, np.int64))
        self._shift = self.offsets * factor.real + zero_point
        limits = np.iinfo(dtype)
        self._largest = float(max(int(limits.max), -int(limits.min)) + 1)
        self._known_columns: dict[tuple[Any, int], tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def _columns(self, precision: Any, fold: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Factor, offset and tie threshold of each column, for `fold` rows side by side."""
        if (precision, fold) not in self._known_columns:
            self._known_columns[precision, fold] = self._columns_anew(precision, fold)
        return self._known_columns[precision, fold]

    def _columns_anew(self, precision: Any, fold: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        # Factor, product, offset and sum are each rounded once; half a unit in the last place of
        # 24 or 53 bits, relative to a product of at most the result and the offset.
        error = 2.0 ** (-22 if precision == np.float32 else -51)
        float_error = (self._largest + np.abs(self._shift)) * error
        threshold = 0.5 - np.minimum(float_error + self.factor.spread, 0.5)
        if np.ptp(threshold) < _UNIFORM:
            threshold = np.atleast_1d(threshold.min())
        parts = (self.factor.real, self._shift, threshold)
        tiled = [np.tile(part, fold) if part.size > 1 else part for part in parts]
        cast: list[np.ndarray] = [part.astype(precision) for part in tiled]
        return cast[0], cast[1], cast[2]

    def __call__(self, accumulators: np.ndarray, out: np.ndarray) -> None:
        """Fill `out` (rows, channels) from whole numbers in float32 or float64.

        Both are in C order. Where there are few channels, several rows are taken as one: NumPy
        is slow on short ones.
        """
        rows, channels = accumulators.shape
        fold = max(1, _LONG_ROW_VALUES // max(channels, 1))
        together = rows - rows % fold
        if together:
            wide = accumulators[:together].reshape(-1, fold * channels)
            self._fill(wide, out[:together].reshape(-1, fold * channels), fold)
        if together < rows:
            self._fill(accumulators[together:], out[together:], 1)

    def _fill(self, accumulators: np.ndarray, out: np.ndarray, fold: int) -> None:
        rows, channels = accumulators.shape
        scale, shift, threshold = self._columns(accumulators.dtype, fold)
        step = min(max(1, _BLOCK_VALUES // max(channels, 1)), max(rows, 1))
        scratch = Scratch.of((step, channels), accumulators.dtype)
        for start in range(0, rows, step):
            block = accumulators[start : start + step]
            product = np.multiply(block, scale, out=scratch.products[: len(block)])
            np.add(product, shift, out=product)
            target = out[start : start + len(block)]
            doubtful = settle(scratch, len(block), threshold, self.low, self.high, target)
            if doubtful.size:
                row, column = np.divmod(doubtful, channels)
                exact = block[row, column].astype(np.int64)
                target[row, column] = self.exact(exact, column % (channels // fold))

    def exact(self, accumulators: Integers, columns: Any) -> Integers:
        """Stored integers of accumulators by integer arithmetic alone."""
        offset = self.offsets[columns if self.offsets.size > 1 else 0]
        factors = columns if self.factor.real.size > 1 else slice(0, 1)
        values = self.factor.multiply(accumulators + offset, factors) + self.zero_point
        return np.minimum(np.maximum(values, self.low), self.high)  # np.clip is slow on a few


@dataclass(frozen=True)
class Scratch:
    """Buffers of one block, used again for the next.

    Attributes:
        products: Real results, zero point included.
        rounded: Of the same shape and dtype.
        near: bool, of the same shape.
    """

    products: np.ndarray
    rounded: np.ndarray
    near: np.ndarray

    @classmethod
    def of(cls, shape: tuple[int, ...], dtype: Any) -> Scratch:
        """Buffers for blocks of up to `shape`."""
        return cls(np.empty(shape, dtype), np.empty(shape, dtype), np.empty(shape, np.bool_))


def settle(
    scratch: Scratch, count: int, threshold: Any, low: int, high: int, out: np.ndarray
) -> npt.NDArray[np.intp]:
    """Round the first `count` rows of products into `out`, held within [low, high].

    Args:
        scratch: Its products are overwritten.
        count: Rows in use.
        threshold: 0.5 less the zone around a tie that is in doubt.
        low: Smallest stored value.
        high: Largest stored value.
        out: Of `count` rows.

    Returns:
        Flat indices of those that lie next to a tie, and may round the other way.
    """
    products, rounded = scratch.products[:count], scratch.rounded[:count]
    near = scratch.near[:count]
    # Held within 0.4 of the range: what saturates is rounded to it, and never looks like a tie.
    products.clip(low - _BEYOND, high + _BEYOND, out=products)
    np.rint(products, out=rounded)
    out[...] = rounded
    np.subtract(products, rounded, out=products)
    np.abs(products, out=products)
    np.greater_equal(products, threshold, out=near)
    return near.ravel().nonzero()[0]


def rule_for(rounding: Rounding, fallback: Rule = "double") -> Rule:
    """The rule of an op that has none of its own."""
    return "even" if rounding == "xnnpack" else fallback


def activation_range(activation: int, scale: float, zero_point: int, dtype: str) -> tuple[int, int]:
    """Smallest and largest stored value after a fused activation.

    Args:
        activation: The schema's ActivationFunctionType: 0 none, 1 RELU, 2 RELU_N1_TO_1, 3 RELU6.
        scale: Of the output, float32.
        zero_point: Of the output.
        dtype: Of the output.

    >>> activation_range(3, 0.05, -100, "int8")
    (-100, 20)
    """
    limits = np.iinfo(dtype)
    low, high = int(limits.min), int(limits.max)

    def stored(real: float) -> int:
        return zero_point + int(round_half_away(np.float32(real) / np.float32(scale)))

    if activation in (1, 3):
        low = max(low, stored(0.0))
    if activation == 2:
        low = max(low, stored(-1.0))
    if activation in (2, 3):
        high = min(high, stored(1.0 if activation == 2 else 6.0))
    return low, max(low, high)
