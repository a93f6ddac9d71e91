"""Is it the data, or the float model? Faults that no layer is to blame for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfgreen.data import Samples
from tfgreen.data.comparison import compare_values
from tfgreen.runtimes import quantize_inputs
from tfgreen.verification.diagnosis.measuring import Comparison
from tfgreen.verification.diagnosis.ranges import range_facts
from tfgreen.verification.diagnosis.record import Evidence, Fault
from tfgreen.verification.diagnosis.running import Runner
from tfgreen.verification.diagnosis.steps import MOVING
from tfgreen.verification.metrics import accuracy
from tfgreen.wording import share_text

_FIXED = frozenset({"SOFTMAX", "LOGISTIC", "TANH", "LOG_SOFTMAX", "L2_NORMALIZATION"})
_TOO_WIDE, _CLIPPED_SHARE = 2.0, 0.01
_MANY, _MANY_SHARE = 3, 0.3
_USUAL_LOGIT = 8.0
"""Largest logit of a usual trained classifier; how many times off is what counts."""

_DEVIATIONS = 2.0
_MOST_LUCK = 0.25
"""Of what can be gained over guessing: with more luck than that, nothing can be told."""


@dataclass(frozen=True)
class Labelled:
    """Accuracy with labels, as shares of right classes; all None without labels.

    Attributes:
        float_accuracy, file_accuracy: Of the two.
        chance: What guessing would give, with the luck that so many samples allow; None where
            the samples cannot tell.
    """

    float_accuracy: float | None = None
    file_accuracy: float | None = None
    chance: float | None = None

    @property
    def is_chance(self) -> bool:
        """Whether the float model does no better than guessing."""
        return (
            self.float_accuracy is not None
            and self.chance is not None
            and self.float_accuracy <= self.chance
        )


def chance_of(labels: np.ndarray, told: np.ndarray) -> float | None:
    """Accuracy that answers told without a look at the samples have at best, two deviations up.

    Args:
        labels, told: the right class and the model's, of each sample.

    Returns:
        None where the samples cannot tell: they are too few, or all of one class.

    >>> round(chance_of(np.arange(100) % 10, np.arange(100) // 10), 3)
    0.16
    >>> chance_of(np.array([3, 3, 3]), np.array([3, 3, 3])) is None
    True
    """
    shares = [np.mean(labels == one) * np.mean(told == one) for one in np.unique(labels)]
    expected = float(np.sum(shares))
    luck = _DEVIATIONS * math.sqrt(expected * (1 - expected) / max(labels.size, 1))
    if len(shares) < 2 or luck > _MOST_LUCK * (1 - expected):
        return None
    return expected + luck


def at_chance(labelled: Labelled) -> Fault:
    """The float model is no better than guessing."""
    told, chance = labelled.float_accuracy or 0.0, labelled.chance or 0.0
    return Fault(
        cause="float-model-wrong",
        message="The float model itself is wrong on these samples: it is right for "
        f"{share_text(told)}, and guessing is for up to {share_text(chance)}. No quantization can "
        "be better than that.",
        remedy="Check the labels, the preprocessing of the samples, and the moving statistics of "
        "BatchNormalization; evaluate the Keras model itself.",
        evidence={"float_accuracy": round(told, 4), "chance": round(chance, 4)},
    )


def data_fault(
    comparison: Comparison, calibration: Samples | None, labels: np.ndarray | None
) -> Fault | None:
    """Ranges that are off throughout, or at the input, come from other data than these.

    Args:
        calibration: What the file was calibrated with, if the caller knows.
        labels: Class numbers of the comparison's samples.
    """
    off = _off_ranges(comparison)
    inputs = [index for index in off if index in comparison.model.inputs]
    many = len(off) >= max(_MANY, _MANY_SHARE * _ranged_count(comparison))
    if not inputs and not many:
        return None
    unlike = _unlike(comparison, calibration)
    if unlike is not None:
        return _unlike_calibration(comparison, off, unlike)
    if inputs and (not many or _fits_better_rescaled(comparison, inputs, labels)):
        return _input_scaling(comparison, inputs)
    if calibration is not None:
        return None  # calibrated with data like these: the ranges are wrong for another reason
    return _unlike_calibration(comparison, off, unlike)


def _off_ranges(comparison: Comparison) -> dict[int, str]:
    """Tensors whose stored range is not that of these samples: "too wide" or "too narrow"."""
    off = {}
    for index in _ranged(comparison):
        facts = range_facts(comparison, index)
        if facts.clipped_share >= _CLIPPED_SHARE:
            off[index] = "too narrow"
        elif facts.too_wide >= _TOO_WIDE:
            off[index] = "too wide"
    return off


def _ranged(comparison: Comparison) -> Sequence[int]:
    """Tensors with a range of their own: none that is handed on or fixed by the specification."""
    model = comparison.model
    found = []
    for index in comparison.truths:
        producer = model.producer(index)
        fixed = producer is not None and producer.name in _FIXED | MOVING
        if model.tensors[index].quantization is not None and not fixed:
            found.append(index)
    return found


def _ranged_count(comparison: Comparison) -> int:
    return len(_ranged(comparison))


def _unlike(comparison: Comparison, calibration: Samples | None) -> str | None:
    """How the calibration data differ from the samples, in words; None if they do not."""
    if calibration is None:
        return None
    for name, values in comparison.samples.inputs.items():
        if name in calibration.inputs:
            finding = compare_values(name, calibration.inputs[name], values)
            if finding is not None:
                return finding.message
    return None


def _fits_better_rescaled(
    comparison: Comparison, inputs: Sequence[int], labels: np.ndarray | None
) -> bool:
    """Whether the float model makes more sense of the samples mapped to the file's input range.

    With labels by its accuracy; without by its logits, which no training makes as large as
    unscaled pixels do, nor as small.
    """
    model, float_model = comparison.model, comparison.float_model
    given = list(quantize_inputs(float_model, comparison.samples))
    mapped = list(given)
    for index in inputs:
        position = float_model.inputs.index(comparison.twins[index])
        facts = range_facts(comparison, index)
        values = given[position].astype(np.float64)
        low, high = float(values.min()), float(values.max())
        if high <= low or model.tensors[index].quantization is None:
            return False
        span = (facts.stored[1] - facts.stored[0]) / (high - low)
        mapped[position] = ((values - low) * span + facts.stored[0]).astype(np.float32)
    values = _final_values(comparison, mapped)
    truth = next(iter(_float_finals(comparison).values()))
    if labels is not None and truth.shape[0] == len(labels) and truth.shape[-1] > 1:
        as_given, as_mapped = (
            accuracy(one.reshape(len(labels), -1), labels) for one in (truth, values)
        )
        return as_mapped > as_given + _DEVIATIONS / math.sqrt(len(labels))
    return _implausible(truth) > _implausible(values) + math.log(2)


def _float_finals(comparison: Comparison) -> dict[int, np.ndarray]:
    finals = [index for index in comparison.bench.final if index in comparison.truths]
    return {index: comparison.truths[index] for index in finals}


def _final_values(comparison: Comparison, inputs: Sequence[np.ndarray]) -> np.ndarray:
    final = next(iter(_float_finals(comparison)))
    values = Runner(comparison.float_model.content, "the float model").tensors(inputs)
    return values[comparison.twins[final]]


def _implausible(logits: np.ndarray) -> float:
    """How far, as a logarithm, the logits' size is from a trained classifier's."""
    reach = float(np.median(np.abs(logits.reshape(len(logits), -1)).max(axis=1)))
    return abs(math.log(max(reach, 1e-9) / _USUAL_LOGIT))


def _input_scaling(comparison: Comparison, inputs: Sequence[int]) -> Fault:
    index = inputs[0]
    evidence, told = _input_evidence(comparison, index)
    name = comparison.model.input_names[comparison.model.inputs.index(index)]
    return Fault(
        cause="input-scaling",
        layer=comparison.model.tensors[index].name,
        op_index=-1,
        op="INPUT",
        message=f"The scaling of input '{name}' is wrong: {told}",
        remedy="Prepare the samples as for the training (0..255 or 0..1?), and let the input's "
        "own scale and zero point turn them into integers.",
        evidence=evidence,
    )


def _unlike_calibration(comparison: Comparison, off: dict[int, str], unlike: str | None) -> Fault:
    wide = sum(1 for kind in off.values() if kind == "too wide")
    told = (
        f"The file was calibrated with data unlike these: {len(off)} of "
        f"{_ranged_count(comparison)} ranges do not fit them ({wide} too wide, "
        f"{len(off) - wide} too narrow)."
    )
    first = next(iter(off))
    evidence: Evidence = {
        "ranges": _ranged_count(comparison),
        "ranges_too_wide": wide,
        "ranges_too_narrow": len(off) - wide,
    }
    if first in comparison.model.inputs:
        more, sentence = _input_evidence(comparison, first)
        evidence |= more
        told += f" At the input {sentence}"
    if unlike is not None:
        told += f" {unlike}"
    return Fault(
        cause="calibration-unlike-evaluation",
        layer=comparison.model.tensors[first].name,
        op_index=-1 if first in comparison.model.inputs else _op_index(comparison, first),
        op="INPUT" if first in comparison.model.inputs else _op_name(comparison, first),
        message=told,
        remedy="Export again with calibration samples prepared as the model gets them in use, "
        "from every class.",
        evidence=evidence,
    )


def _input_evidence(comparison: Comparison, index: int) -> tuple[Evidence, str]:
    facts = range_facts(comparison, index)
    told = (
        f"the file stores {facts.stored[0]:.4g}..{facts.stored[1]:.4g}, the samples reach "
        f"{facts.true[0]:.4g}..{facts.true[1]:.4g} ({share_text(facts.clipped_share)} of the "
        "values are clipped)."
    )
    return facts.evidence(), told


def _op_index(comparison: Comparison, index: int) -> int:
    producer = comparison.model.producer(index)
    return -1 if producer is None else producer.index


def _op_name(comparison: Comparison, index: int) -> str:
    producer = comparison.model.producer(index)
    return "INPUT" if producer is None else producer.name
