"""From a suspect op to its cause: which part of its error is too large, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from tfgreen.verification.diagnosis.anatomy import (
    BIAS_POSITIONS,
    Anatomy,
    Constant,
    Part,
    anatomy,
    anatomy_of_input,
)
from tfgreen.verification.diagnosis.measuring import Comparison
from tfgreen.verification.diagnosis.ranges import (
    Explanation,
    explain_owner,
    explain_storing,
    huge_channel,
    owned_by_channel,
    spread_values,
)
from tfgreen.verification.diagnosis.record import Evidence, Fault
from tfgreen.verification.diagnosis.steps import Step
from tfgreen.verification.diagnosis.suspects import Suspect, noise_of
from tfgreen.verification.diagnosis.weights import (
    explain_bias,
    explain_weights,
    saturated_values,
    spread_of,
)
from tfgreen.verification.labels import tensor_label

_NORMALIZED = re.compile(r"batch_?norm|/bn|_bn|fusedbatchnorm", re.IGNORECASE)
_OFF_SLOPE = 0.05
_SOUND_QUANTA = 2.0
_WELL_ROUNDED_DB, _BORNE_NOISE = 35.0, 10**-2.5
_LEAST_CHANNELS, _STANDS_OUT, _SPREAD = 4, 10.0, 3.0
_INT32_LIMIT = 1 << 31
_BIASED_INPUTS, _OFF_BIAS_SCALE = 3, 0.02


def explain(comparison: Comparison, suspect: Suspect) -> Fault | None:
    """The cause of a suspect op's error, with its evidence; None for the price of 8 bits."""
    layer = suspect.layer
    step = comparison.step_to(layer.tensor_index)
    parts = (
        anatomy_of_input(comparison, layer.tensor_index)
        if step is None
        else anatomy(comparison, step)
    )
    part = excessive_part(parts, noise_of(layer.ideal_sqnr_db))
    explanation = _explained(comparison, suspect, step, parts, part)
    if explanation.cause == "weight-width" and _is_the_price(explanation.evidence, suspect):
        return None
    told = tensor_label(comparison.model, layer.tensor_index)
    return Fault(
        cause=explanation.cause,
        layer=layer.tensor_name,
        op_index=layer.op_index,
        op=layer.op_name,
        message=explanation.message.format(layer=f"'{told}'"),
        remedy=explanation.remedy,
        evidence=explanation.evidence | _figures(suspect, parts, part),
        share_of_final_error=round(suspect.share, 4),
    )


def _is_the_price(evidence: Evidence, suspect: Suspect) -> bool:
    """Weights that are rounded to 8 bits as well as that goes, in a layer that bears it."""
    fits = float(evidence["weights_sqnr_db"]) >= _WELL_ROUNDED_DB
    bears = noise_of(suspect.layer.alone_sqnr_db) <= _BORNE_NOISE
    return evidence["bits"] == 8 and fits and bears


def excessive_part(parts: Anatomy, ideal_noise: float) -> Part:
    """The part with the most noise beyond what storing the tensor has to cost.

    Arithmetic within two steps is sound: where that is much, the steps are too large.
    """
    beyond: Mapping[Part, float] = {
        part: noise - ideal_noise if part == "storing" else noise
        for part, noise in parts.parts.items()
        if part != "arithmetic" or parts.largest_quanta > _SOUND_QUANTA
    }
    return max(beyond, key=beyond.__getitem__)


def _explained(
    comparison: Comparison, suspect: Suspect, step: Step | None, parts: Anatomy, part: Part
) -> Explanation:
    index = suspect.layer.tensor_index
    if suspect.is_crowded:
        return _explain_crowding(comparison, index, step, parts)
    if step is None or (part == "storing" and parts.parts["storing"] > 0):
        clipped = parts.clipped / max(parts.parts["storing"], 1e-300)
        if clipped and _few_channels_stand_out(comparison.truths[index]):
            return _explain_crowding(comparison, index, step, parts)
        return explain_storing(comparison, index, step, clipped)
    overflow = _overflow(comparison, step, parts)
    if overflow is not None:
        return overflow
    worst = _worst(parts.constants, is_bias=part == "bias")
    name = comparison.float_model.tensors[comparison.twins[index]].name
    is_normalized = bool(_NORMALIZED.search(name))
    if part == "weights" and worst is not None:
        return explain_weights(worst, step.op.name, is_normalized=is_normalized)
    if part == "bias" and worst is not None:
        return explain_bias(worst, is_normalized=is_normalized)
    return _explain_arithmetic(comparison, step, parts)


def _explain_crowding(
    comparison: Comparison, index: int, step: Step | None, parts: Anatomy
) -> Explanation:
    """Which channels are too different for one scale: those of the weights, or of the values."""
    owned = explain_owner(comparison, index, step)
    if owned is not None:
        return owned
    worst = _worst(parts.constants, is_bias=False)
    if worst is not None and step is not None and worst.scales.size == 1:
        spread = spread_of(worst, step.op.name)
        if spread is not None:
            return spread
    truth = comparison.truths[index]
    channel = huge_channel(truth)
    if channel is not None:
        return owned_by_channel({}, truth, channel)
    if _few_channels_stand_out(truth, _SPREAD):
        return spread_values(truth)
    if comparison.model.tensors[index].quantization is None and step is not None:
        return (
            _explain_arithmetic(comparison, step, parts)
            if worst is None
            else explain_weights(worst, step.op.name)
        )
    return explain_storing(comparison, index, step, 0.0)


def _few_channels_stand_out(values: np.ndarray, times: float = _STANDS_OUT) -> bool:
    """Whether what is clipped can only be a few channels, much larger than most."""
    if values.ndim < 2 or values.shape[-1] < _LEAST_CHANNELS:
        return False
    reach = np.abs(values.reshape(-1, values.shape[-1])).max(axis=0)
    return bool(reach.max() > times * np.median(reach[reach > 0]))


def _worst(constants: tuple[Constant, ...], *, is_bias: bool) -> Constant | None:
    """The constant that is furthest from the float model's, for its size."""
    chosen = [one for one in constants if one.is_bias == is_bias]

    def noise(one: Constant) -> float:
        error = one.real.astype(np.float64) - one.truth
        return float(
            (error**2).sum() / max(float((one.truth.astype(np.float64) ** 2).sum()), 1e-30)
        )

    return max(chosen, key=noise, default=None)


def _explain_arithmetic(comparison: Comparison, step: Step, parts: Anatomy) -> Explanation:
    """The op computes something else than its weights and scales say."""
    evidence: Evidence = {
        "largest_quanta": round(parts.largest_quanta, 2),
        "slope": round(parts.slope, 4),
    }
    factor = _bias_factor(comparison, step)
    if abs(factor - 1) > _OFF_BIAS_SCALE:
        return Explanation(
            "weights-differ",
            f"The bias of {{layer}} counts {factor:.3g} times: its scale is not that of the input "
            "times that of the weights, which the op computes with.",
            "Store the bias again with the product of both scales.",
            evidence | {"bias_factor": round(factor, 5)},
        )
    if abs(parts.slope - 1) > _OFF_SLOPE:
        return Explanation(
            "output-scaling",
            f"The scale of {{layer}} is not the one that its values were computed with: they come "
            f"out {parts.slope:.3g} times as large as they are.",
            "Give the tensor the scale and zero point that its op's kernel works with.",
            evidence,
        )
    runner = comparison.bench.runner(step)
    if runner is not None and not runner.is_exact:
        return Explanation(
            "kernel-difference",
            f"The kernel that computes {{layer}} ({step.op.name}) is off by up to "
            f"{parts.largest_quanta:.3g} steps from the exact arithmetic.",
            "Use another kernel set, or avoid the op.",
            evidence,
        )
    return Explanation(
        "unexplained",
        f"{{layer}} ({step.op.name}) is off by up to {parts.largest_quanta:.3g} steps from what "
        "its scales and weights say.",
        "Keep the op in float, and report the file.",
        evidence,
    )


def _overflow(comparison: Comparison, step: Step, parts: Anatomy) -> Explanation | None:
    """A bias, or a sum, that 32 bits cannot hold."""
    bias = _worst(parts.constants, is_bias=True)
    if bias is not None and saturated_values(bias):
        return explain_bias(bias, is_normalized=False)
    runner = comparison.bench.runner(step)
    if runner is None or not runner.is_exact:
        return None
    rounded = comparison.rounded_inputs(step)
    peak = runner.peak_accumulator([rounded[i] for i in step.file.inputs])
    if peak is None or peak < _INT32_LIMIT or (bias is not None and bias.dtype == "int64"):
        return None
    return Explanation(
        "accumulator-overflow",
        f"The accumulators of {{layer}} overflow 32 bits: the largest sum is {peak:,}.",
        "Widen the scales of the layer's weights or of its input.",
        {"peak_accumulator": peak},
    )


def _bias_factor(comparison: Comparison, step: Step) -> float:
    """Scale of input times weights over the bias's: the worst channel's; 1 where they agree."""
    inputs = [comparison.model.tensors[i].quantization for i in step.op.inputs[:3] if i >= 0]
    if step.op.name not in BIAS_POSITIONS or len(inputs) < _BIASED_INPUTS or None in inputs:
        return 1.0
    source, weights, bias = (one.scales.astype(np.float64) for one in inputs if one is not None)
    if not (source * weights * bias).all():
        return 1.0
    factors = source * weights / bias
    return float(factors[np.argmax(np.abs(np.log(np.abs(factors))))])


def _figures(suspect: Suspect, parts: Anatomy, part: Part) -> Evidence:
    layer = suspect.layer
    told: Evidence = {"excess_db": round(suspect.excess_db, 2), "part": part}
    named = {
        "own_sqnr_db": layer.own_sqnr_db,
        "ideal_sqnr_db": layer.ideal_sqnr_db,
        "stored_sqnr_db": layer.stored_sqnr_db,
        "alone_sqnr_db": layer.alone_sqnr_db,
    }
    return told | {name: round(value, 2) for name, value in named.items() if value is not None}
