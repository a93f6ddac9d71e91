"""Constants of attention masks that own a range, made as small as the softmax allows.

A mask adds -1e9 (or Keras' -2e38) to the scores that a softmax must not see. Eight bits for the
range -1e9..10 leave nothing of the scores. After the softmax, any value far enough below the
scores is the same zero: with scores within a span R and n of them, R + ln(1e6 n) is far enough
for a float file to give the same to six digits. Whether it does is measured, not believed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from tfgreen.flatbuffer import TfliteModel, with_constants

HUGE = 1e3
"""Scores are far smaller, masks far larger."""

_PASSED = frozenset(
    {"ADD", "SUB", "MUL", "SELECT", "SELECT_V2", "MAXIMUM", "MINIMUM", "RESHAPE", "TRANSPOSE"}
    | {"BROADCAST_TO", "EXPAND_DIMS", "SQUEEZE", "CONCATENATION", "NEG"}
)
_DEPTH = 8


@dataclass(frozen=True)
class MaskConstant:
    """A constant that feeds a softmax with values no score has.

    constant, softmax: tensor indices of the constant and of the softmax's input.
    """

    constant: int
    softmax: int


def mask_constants(model: TfliteModel) -> tuple[MaskConstant, ...]:
    """Every float constant with a value beyond 1,000 in size on the way to a SOFTMAX."""
    found: dict[int, MaskConstant] = {}
    for op in model.ops:
        if op.name in ("SOFTMAX", "LOG_SOFTMAX"):
            for index in _constants_before(model, op.inputs[0], _DEPTH):
                found.setdefault(index, MaskConstant(index, op.inputs[0]))
    return tuple(found.values())


def _constants_before(model: TfliteModel, tensor: int, depth: int) -> Iterator[int]:
    producer = model.producer(tensor)
    if producer is None or producer.name not in _PASSED or depth == 0:
        return
    for index in producer.inputs:
        if index < 0:
            continue
        facts = model.tensors[index]
        if not facts.is_constant:
            yield from _constants_before(model, index, depth - 1)
        elif facts.dtype == "float32" and np.abs(model.constant(index)).max(initial=0) > HUGE:
            yield index


def enough(scores: np.ndarray) -> int:
    """A size of mask that is far enough for scores (..., n), masked ones among them.

    Zero counts as a score: a mask may be added to one, or stand in its place.

    >>> enough(np.array([[1.0, 2.0, -1e9]]))
    17
    """
    seen = scores[np.abs(scores) < HUGE / 2]
    span = float(max(seen.max(), 0) - min(seen.min(), 0)) if seen.size else 0.0
    return math.ceil(span + math.log(1e6 * scores.shape[-1]))


def with_mask_values(model: TfliteModel, sizes: Mapping[int, float]) -> bytes:
    """The file with huge values of constants brought down to +-size, by index of the constant."""
    return with_constants(
        model,
        {
            index: np.where(np.abs(array) > HUGE, np.sign(array) * size, array).astype(np.float32)
            for index, size in sizes.items()
            for array in [model.constant(index)]
        },
    )
