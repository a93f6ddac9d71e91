"""Why a tensor is stored badly: its range is too wide, too narrow, or owned by something odd."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tfgreen.preprocess import STORED_RANGES
from tfgreen.verification.diagnosis.channels import bulk_of
from tfgreen.verification.diagnosis.ideal import best_range
from tfgreen.verification.diagnosis.measuring import Comparison, steps_of_dtype
from tfgreen.verification.diagnosis.record import Cause, Evidence
from tfgreen.verification.diagnosis.steps import Step
from tfgreen.wording import share_text

_CLIPPED_PART = 0.5
_BEYOND_TRUTH = 1.5  # a stored range so much wider than the true one is not the data's
_OWNER_PART = 0.5
_FEW_VALUES = 4
_HUGE = 4.0
_FEW_CHANNELS = 0.1


@dataclass(frozen=True)
class Explanation:
    """A cause with what to tell about it; `{layer}` stands for the layer's name."""

    cause: Cause
    message: str
    remedy: str
    evidence: Evidence


@dataclass(frozen=True)
class RangeFacts:
    """A tensor's ranges, zero inside: stored in the file, reached by the float model, and best.

    `clipped_share` is the share of float values outside the stored range. `is_symmetric`: zero lies
    in the middle by choice, as always in 16 bits, so that half of the steps may go unused.
    """

    stored: tuple[float, float]
    true: tuple[float, float]
    best: tuple[float, float]
    clipped_share: float
    is_symmetric: bool = False

    @property
    def too_wide(self) -> float:
        """Width of the stored range over the true one, made symmetric where that is."""
        low, high = self.true
        if self.is_symmetric:
            low, high = -max(-low, high), max(-low, high)
        return _width(self.stored) / max(high - low, 1e-30)

    @property
    def over_best(self) -> float:
        """Width of the stored range over the best one."""
        return _width(self.stored) / max(_width(self.best), 1e-30)

    def evidence(self) -> Evidence:
        """By name."""
        names = ("stored", "true", "best")
        pairs = zip(names, (self.stored, self.true, self.best), strict=True)
        found: Evidence = {}
        for name, (low, high) in pairs:
            found |= {f"{name}_low": _short(low), f"{name}_high": _short(high)}
        return found | {
            "stored_over_true_width": _short(self.too_wide),
            "clipped_share": _short(self.clipped_share),
        }


def range_facts(comparison: Comparison, index: int) -> RangeFacts:
    """The ranges of a quantized activation of the file."""
    tensor, truth = comparison.model.tensors[index], comparison.truths[index]
    quantization = tensor.quantization
    if quantization is None:
        raise ValueError(f"Tensor {index} ({tensor.name}) is not quantized.")
    low, high = STORED_RANGES.get(tensor.dtype, (-128, 127))
    scale, zero_point = float(quantization.scales[0]), int(quantization.zero_points[0])
    stored = ((low - zero_point) * scale, (high - zero_point) * scale)
    true = (min(float(truth.min()), 0.0), max(float(truth.max()), 0.0))
    outside = (truth < stored[0] - scale / 2) | (truth > stored[1] + scale / 2)
    best = best_range(truth, steps_of_dtype(tensor.dtype))
    symmetric = zero_point == (low + high + 1) // 2
    return RangeFacts(stored, true, best, float(np.mean(outside)), symmetric)


def explain_storing(
    comparison: Comparison, index: int, step: Step | None, clipped_part: float
) -> Explanation:
    """Why storing a tensor costs more than it has to.

    Args:
        clipped_part: How much of that noise comes from values outside the stored range.
    """
    facts = range_facts(comparison, index)
    if clipped_part >= _CLIPPED_PART:
        return _narrow(facts)
    truth = comparison.truths[index]
    owner = _owning_constant(comparison, step, facts)
    if owner is not None:
        return _owned_by_constant(facts, owner)
    if facts.too_wide < _BEYOND_TRUTH:
        channel = huge_channel(truth)
        if channel is not None:
            return owned_by_channel(facts.evidence(), truth, channel)
    return _wide(facts, truth)


def huge_channel(values: np.ndarray) -> int | None:
    """The channel (last axis) that owns the range: few reach more than 4 times what others do."""
    if values.ndim < 2 or values.shape[-1] < 4:
        return None
    reach = np.abs(values.reshape(-1, values.shape[-1])).max(axis=0)
    return owner_among(reach)


def owner_among(reach: np.ndarray) -> int | None:
    """The index of the largest of a few values that are over 4 times as large as all others."""
    few = max(1, int(_FEW_CHANNELS * len(reach)))
    ordered = np.sort(reach)
    rest = float(ordered[-few - 1]) if len(reach) > few else 0.0
    typical = float(np.median(reach))
    if ordered[-1] > _HUGE * max(rest, typical) and ordered[-1] > 0:
        return int(np.argmax(reach))
    return None


def owned_by_channel(evidence: Evidence, values: np.ndarray, channel: int) -> Explanation:
    """A channel that is so much larger than the others that these get hardly any steps."""
    reach = np.abs(values.reshape(-1, values.shape[-1])).max(axis=0)
    typical = float(np.median(reach))
    return Explanation(
        "huge-channel",
        f"Channel {channel} of {{layer}} reaches {reach[channel]:.4g}, a typical channel "
        f"{typical:.4g}: it owns the range, and the others get hardly any steps.",
        "Equalize the channels (`tfgreen repair`), or find out why the channel is so "
        "large: a BatchNormalization with a variance near zero makes one.",
        evidence
        | {
            "channel": channel,
            "channel_reach": _short(float(reach[channel])),
            "typical_channel_reach": _short(typical),
        },
    )


def explain_owner(comparison: Comparison, index: int, step: Step | None) -> Explanation | None:
    """The constant that leaves the bulk of an op's values hardly any steps; None if none does."""
    if comparison.model.tensors[index].quantization is None:
        return None
    facts = range_facts(comparison, index)
    owner = _owning_constant(comparison, step, facts)
    truth = comparison.truths[index]
    bulk = truth[bulk_of(truth)]
    if owner is None or not bulk.size:
        return None
    ends = (min(float(bulk.min()), 0.0), max(float(bulk.max()), 0.0))
    return _owned_by_constant(replace(facts, best=ends), owner)


def spread_values(values: np.ndarray) -> Explanation:
    """Channels of very different size share the one scale of an activation."""
    reach = np.abs(values.reshape(-1, values.shape[-1])).max(axis=0)
    living = reach[reach > 0]
    return Explanation(
        "per-channel-spread",
        f"The channels of {{layer}} differ by up to {living.max() / living.min():.3g} times, and "
        "an activation has one scale for all: small channels get hardly any steps.",
        "Cross-layer equalization, which moves the difference into the weights of both sides: "
        "`tfgreen repair` does it.",
        {
            "channels": len(reach),
            "spread": _short(float(living.max() / np.median(living))),
            "smallest_over_largest": _short(float(living.min() / living.max())),
        },
    )


def _narrow(facts: RangeFacts) -> Explanation:
    return Explanation(
        "range-too-narrow",
        f"The range of {{layer}} is too narrow: the file stores {_told(facts.stored)}, the float "
        f"model reaches {_told(facts.true)}. {share_text(facts.clipped_share, 2)} of the values "
        "are clipped.",
        "Calibrate with samples that reach what the model sees in use, or choose the range by "
        "minimum and maximum.",
        facts.evidence(),
    )


def _wide(facts: RangeFacts, truth: np.ndarray) -> Explanation:
    if facts.too_wide >= _BEYOND_TRUTH:
        message = (
            f"The range of {{layer}} is too wide: the file stores {_told(facts.stored)}, the float "
            f"model stays within {_told(facts.true)}. Only one of {facts.too_wide:.3g} steps is "
            "used: an outlier in the calibration data, or a fault of the calibrator."
        )
        evidence = facts.evidence()
    else:
        low, high = facts.best
        outside = int(np.count_nonzero((truth < low) | (truth > high)))
        message = (
            f"The range of {{layer}} is too wide: {outside} of {truth.size:,} values are outliers "
            f"that stretch it to {_told(facts.true)}; {_told(facts.best)} would store all values "
            "with the least error."
        )
        evidence = facts.evidence() | {"outliers": outside}
    return Explanation(
        "range-too-wide",
        message,
        "Choose the range by least squared error or by a percentile of the calibration values.",
        evidence,
    )


def _owned_by_constant(facts: RangeFacts, owner: float) -> Explanation:
    return Explanation(
        "constant-owns-range",
        f"A constant, {owner:.4g}, owns the range of {{layer}} ({_told(facts.stored)}): an "
        "attention mask, say. What it is added to needs a range of "
        f"{_told(facts.best)} and gets hardly any steps.",
        "Take a smaller constant: for a mask before a softmax, some ten times the range of the "
        "scores is as good as minus infinity.",
        facts.evidence() | {"constant": _short(owner)},
    )


def _owning_constant(comparison: Comparison, step: Step | None, facts: RangeFacts) -> float | None:
    """The constant (or the input of very few values) that reaches where only few values lie."""
    if step is None:
        return None
    reach = max(map(abs, facts.true if facts.too_wide < _BEYOND_TRUTH else facts.stored))
    for values in _operands(comparison, step):
        if not values.size or not np.isfinite(values).all():
            continue
        extreme = float(values.flat[np.argmax(np.abs(values))])
        if abs(extreme) >= _OWNER_PART * reach:
            return extreme
    return None


def _operands(comparison: Comparison, step: Step) -> list[np.ndarray]:
    """Float constants that an elementwise step adds or multiplies by, and two-valued inputs."""
    if step.op.name not in ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "SELECT", "SELECT_V2"):
        return []
    found = []
    model = comparison.float_model
    for op in [model.ops[i] for i in step.real.ops] if step.real is not None else []:
        indices = [i for i in op.inputs if i >= 0 and model.tensors[i].is_constant]
        found += [model.constant(i) for i in indices if model.tensors[i].dtype == "float32"]
    if len(step.file.inputs) > 1:
        inputs = [comparison.truths[i] for i in step.file.inputs]
        found += [values for values in inputs if len(np.unique(values)) <= _FEW_VALUES]
    return found


def _width(ends: tuple[float, float]) -> float:
    return ends[1] - ends[0]


def _told(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.4g}..{ends[1]:.4g}"


def _short(value: float) -> float:
    return float(f"{value:.5g}")
