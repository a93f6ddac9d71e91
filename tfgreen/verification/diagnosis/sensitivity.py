"""How many bits each layer needs: 4-bit weights one layer at a time, and what more bits gain."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tfgreen.errors import UsageError
from tfgreen.verification.diagnosis.anatomy import Constant, constants_of, float_with
from tfgreen.verification.diagnosis.measuring import (
    SHARE_SAMPLES,
    Comparison,
    OnProgress,
    measure,
)
from tfgreen.verification.diagnosis.shares import Shares
from tfgreen.verification.diagnosis.steps import Step
from tfgreen.verification.diagnosis.weights import CHANNEL_AXES
from tfgreen.verification.metrics import agreement

_WIDTHS = range(2, 9)


@dataclass(frozen=True)
class BitSensitivity:
    """One layer with weights; SQNRs in dB at the end of the model, before softmax.

    Attributes:
        op_index, op, tensor: The layer, by the tensor that it writes.
        weights: How many there are.
        narrow_sqnr_db: Of the float model with only these weights at few bits, a scale a
            channel, rounded to nearest; None if they lose nothing.
        narrow_agreement: Share of samples on which it then still picks the same class (of the
            final values, whatever they are).
        file_sqnr_db: Of the file as it is; None without any error.
        kept_float_sqnr_db: Of the file with this layer's result and weights in float (16-bit
            activations come close).
    """

    op_index: int
    op: str
    tensor: str
    weights: int
    narrow_sqnr_db: float | None
    narrow_agreement: float
    file_sqnr_db: float | None
    kept_float_sqnr_db: float | None


def bit_sensitivities(
    comparison: Comparison, bits: int = 4, on_progress: OnProgress | None = None
) -> tuple[BitSensitivity, ...]:
    """One row for each layer with weights, in the file's order.

    Raises:
        UsageError: bits other than 2..8.
    """
    if bits not in _WIDTHS:
        raise UsageError(f"Received bits={bits}; expected {_WIDTHS[0]} to {_WIDTHS[-1]}.")
    measurement = measure(comparison, on_progress)
    shares = Shares(
        comparison.bench,
        comparison.steps,
        comparison.codes,
        comparison.truths,
        measurement.added,
        SHARE_SAMPLES,
    )
    found = []
    for step in comparison.steps:
        weights = _weights(comparison, step)
        if weights:
            found.append(_row(comparison, step, weights, bits, shares))
    return tuple(found)


def _weights(comparison: Comparison, step: Step) -> list[Constant]:
    if step.op.name not in CHANNEL_AXES:
        return []
    return [one for one in constants_of(comparison, step) if not one.is_bias]


def _row(
    comparison: Comparison, step: Step, weights: list[Constant], bits: int, shares: Shares
) -> BitSensitivity:
    narrow = [_narrowed(one, CHANNEL_AXES[step.op.name], bits) for one in weights]
    inputs = {i: comparison.truths[i][:SHARE_SAMPLES] for i in step.file.inputs}
    values = float_with(comparison, step, narrow, inputs)
    truth = comparison.truths[step.output][:SHARE_SAMPLES]
    error = np.zeros_like(truth) if values is None else values - truth
    final = shares.with_error(step.output, error)
    return BitSensitivity(
        op_index=step.op.index,
        op=step.op.name,
        tensor=comparison.model.tensors[step.output].name,
        weights=sum(one.truth.size for one in weights),
        narrow_sqnr_db=_db(shares.noise(final)),
        narrow_agreement=_agreement(comparison, final),
        file_sqnr_db=_db(shares.total),
        kept_float_sqnr_db=_db(shares.noise_without([step.output])),
    )


def _narrowed(one: Constant, axis: int, bits: int) -> Constant:
    """The float weights, rounded to so many bits with a scale a channel."""
    largest = (1 << (bits - 1)) - 1
    others = tuple(i for i in range(one.truth.ndim) if i != axis)
    scales = np.abs(one.truth).max(axis=others, keepdims=True) / largest
    safe = np.where(scales > 0, scales, 1.0)
    rounded = (np.round(one.truth / safe) * safe).astype(np.float32)
    return dataclasses.replace(one, real=rounded)


def _agreement(comparison: Comparison, final: Mapping[int, np.ndarray]) -> float:
    alike = []
    for index, values in final.items():
        truth = comparison.truths[index][: len(values)]
        shape = (len(values), -1)
        alike.append(agreement(truth.reshape(shape), values.reshape(shape)))
    return min(alike, default=1.0)


def _db(noise: float) -> float | None:
    return -10 * math.log10(noise) if noise > 0 else None
