"""The fidelity gate: the file on the truth kernel set against the float model it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfgreen.errors import UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel, logits
from tfgreen.profile import Limits
from tfgreen.verification import metrics
from tfgreen.verification.answer_changes import AnswerChanges, answer_changes
from tfgreen.verification.certificate import (
    Check,
    CheckStatus,
    GateResult,
    LayerFidelity,
    Metric,
    OutputFidelity,
)
from tfgreen.verification.labels import tensor_label
from tfgreen.verification.lineup import Lineup
from tfgreen.verification.sqnr import Power
from tfgreen.wording import share_text

_MADE_UP = (
    "The samples are made up from a fixed seed: only the SQNR is judged. Give evaluation data to "
    "have the answers judged too."
)
_ROUNDING = 1e-12  # so that a drop of exactly the limit passes


@dataclass(frozen=True)
class Answers:
    """What the file and the float model answered for the same samples, as real numbers.

    Attributes:
        outputs: Kernel set to one array per output of the file, (samples, ...). Slow kernel
            sets may have answered fewer samples, the first ones.
        float_outputs: The float model's, in the file's order of outputs.
        logits: The truth's, of the probed samples, before a trailing softmax.
        float_logits: The float model's.
        labels: By position of the output; they belong to the samples from `labelled_from` on.
        classifying: Positions of the outputs that hold one score per class.
    """

    outputs: Mapping[str, tuple[np.ndarray, ...]]
    float_outputs: tuple[np.ndarray, ...]
    logits: tuple[np.ndarray, ...]
    float_logits: tuple[np.ndarray, ...]
    labels: Mapping[int, np.ndarray]
    labelled_from: int
    classifying: frozenset[int]


def compare_outputs(
    model: TfliteModel, lineup: Lineup, answers: Answers
) -> tuple[OutputFidelity, ...]:
    """SQNR and agreement of every output on the truth kernel set."""
    return tuple(
        OutputFidelity(
            output=name,
            tensor=model.tensors[tensor].name,
            sqnr_db=_power(answers, position).sqnr_db,
            agreement=_agreement(answers, lineup.truth, position),
        )
        for position, (name, tensor) in enumerate(
            zip(model.output_names, logits(model), strict=True)
        )
    )


def measure_metrics(model: TfliteModel, lineup: Lineup, answers: Answers) -> tuple[Metric, ...]:
    """The task's own number for every labelled output, in the outputs' order."""
    return tuple(
        _metric(model.output_names[position], answers, lineup.truth, position)
        for position in sorted(answers.labels)
    )


def count_answers(
    model: TfliteModel, lineup: Lineup, answers: Answers
) -> tuple[AnswerChanges, ...]:
    """Right and changed answers of every labelled output that holds classes, on the truth."""
    found = []
    for position in sorted(answers.classifying & set(answers.labels)):
        labels = answers.labels[position]
        ours = answers.outputs[lineup.truth][position][answers.labelled_from :][: len(labels)]
        theirs = answers.float_outputs[position][answers.labelled_from :][: len(ours)]
        if len(ours):
            name = model.output_names[position]
            found.append(answer_changes(name, theirs, ours, labels[: len(ours)]))
    return tuple(found)


def judge_fidelity(
    model: TfliteModel,
    lineup: Lineup,
    limits: Limits,
    answers: Answers,
    layers: tuple[LayerFidelity, ...],
    not_finite: Sequence[str] = (),
    is_made_up: bool = False,
    is_other_model: bool = False,
) -> GateResult:
    """Hold every output against the limits, and name the layer that loses most.

    `not_finite` are the names of tensors with a NaN or an infinity, here or in the float model.
    Samples that are made up are told. Of a float model with other weights than the file's own,
    the labels judge where there are some: the distance from it is training's, too.
    """
    checks = [_check("samples", "warning", _MADE_UP)] if is_made_up else []
    checks += [
        _check("layers", "failed", f"The tensor '{name}' has values that are not finite.")
        for name in not_finite
    ]
    for position, output in enumerate(compare_outputs(model, lineup, answers)):
        near = [_judge_sqnr(output, _power(answers, position), limits, model, position)]
        if output.agreement is not None:
            near.append(_judge_agreement(output, limits, len(answers.float_outputs[position])))
        judged_by_labels = is_other_model and position in answers.labels
        checks += map(_told_only, near) if judged_by_labels else near
    for metric in measure_metrics(model, lineup, answers):
        labels = answers.labels[model.output_names.index(metric.output)]
        checks.append(_judge_metric(metric, labels, lineup.truth, limits))
    checks += _worst_layer(layers)
    return GateResult.of("fidelity", checks)


def skipped(reason: str) -> GateResult:
    """The gate where there is nothing to compare with."""
    return GateResult.of("fidelity", [_check("float-model", "skipped", reason)])


def failed(reason: str) -> GateResult:
    """The gate where the comparison could not be made although it was asked for."""
    return GateResult.of("fidelity", [_check("float-model", "failed", reason)])


def paired_outputs(model: TfliteModel, float_model: TfliteModel) -> tuple[int, ...]:
    """For each output of the file its position in the float file: by name, else by order.

    Order alone tells nothing where several outputs have one shape.

    Raises:
        UnsupportedModelError: the two do not have the same outputs.
    """
    here, there = model.output_names, float_model.output_names
    names = f"The file has the outputs {', '.join(here)}, the float model {', '.join(there)}"
    if len(here) != len(there):
        raise UnsupportedModelError(f"{names}. Give the model that the file was made from.")
    same_names = len(set(here)) == len(here) and set(here) == set(there)
    positions = tuple(map(there.index, here)) if same_names else tuple(range(len(here)))
    for position, float_position in enumerate(positions):
        shape = model.tensors[model.outputs[position]].shape
        float_shape = float_model.tensors[float_model.outputs[float_position]].shape
        if shape[1:] != float_shape[1:]:
            raise UnsupportedModelError(
                f"The output '{here[position]}' has the shape {shape} in the file and "
                f"{float_shape} in the float model. Give the model that the file was made from."
            )
    shapes = [model.tensors[index].shape[1:] for index in model.outputs]
    if not same_names and len(set(shapes)) < len(shapes):
        raise UnsupportedModelError(
            f"{names}: other names, and outputs of one shape, so that it is not clear which "
            "belong together. Name the outputs of the float model as the file's are."
        )
    return positions


def _power(answers: Answers, position: int) -> Power:
    power = Power()
    true, approximate = answers.float_logits[position], answers.logits[position]
    if true.shape != approximate.shape:  # softmax in one of the two only
        approximate = next(iter(answers.outputs.values()))[position]
        true = answers.float_outputs[position]
    count = min(len(true), len(approximate))
    power.add(true[:count], approximate[:count])
    return power


def _agreement(answers: Answers, truth: str, position: int) -> float | None:
    if position not in answers.classifying:
        return None
    ours, theirs = answers.outputs[truth][position], answers.float_outputs[position]
    count = min(len(ours), len(theirs))
    return metrics.agreement(ours[:count], theirs[:count])


def _metric(name: str, answers: Answers, truth: str, position: int) -> Metric:
    labels = answers.labels[position]
    classifying = position in answers.classifying
    measure = metrics.accuracy if classifying else metrics.mean_absolute_error
    scored: dict[str, float] = {}
    samples: dict[str, int] = {}
    for key, outputs in answers.outputs.items():
        answered = outputs[position][answers.labelled_from :][: len(labels)]
        if len(answered):
            scored[key], samples[key] = measure(answered, labels[: len(answered)]), len(answered)
    count = samples.get(truth, len(labels))  # the same samples as the truth's, to be comparable
    answered = answers.float_outputs[position][answers.labelled_from :][:count]
    samples["float"] = len(answered)
    return Metric(
        output=name,
        kind="accuracy" if classifying else "mean-absolute-error",
        float_model=measure(answered, labels[:count]),
        kernel_sets=scored,
        samples=samples,
    )


def _judge_sqnr(
    output: OutputFidelity, power: Power, limits: Limits, model: TfliteModel, position: int
) -> Check:
    label = tensor_label(model, logits(model)[position])
    facts: dict[str, Any] = {"limit": limits.sqnr_db, "unit": "dB", "measured": output.sqnr_db}
    if not power.is_finite:
        text = f"The output '{output.output}' has values that are not finite (NaN or infinite)."
        return _check("sqnr", "failed", text)
    if output.sqnr_db is None:
        text = f"The output '{output.output}' equals the float model's exactly."
        return _check("sqnr", "passed", text, **facts)
    text = f"The SQNR of output '{output.output}' is {output.sqnr_db:.1f} dB"
    if model.tensors[model.outputs[position]].name != output.tensor:
        text += f", taken at '{label}'"
    status: CheckStatus = "passed" if output.sqnr_db >= limits.sqnr_db else "failed"
    return _check("sqnr", status, f"{text} (at least {limits.sqnr_db:g}).", **facts)


def _judge_agreement(output: OutputFidelity, limits: Limits, samples: int) -> Check:
    share = output.agreement or 0.0
    text = (
        f"The class of output '{output.output}' is the float model's for {share_text(share)} of "
        f"{samples:,} samples (at least {share_text(limits.agreement)})."
    )
    status: CheckStatus = "passed" if share >= limits.agreement else "failed"
    facts = {"measured": share, "limit": limits.agreement, "unit": "share of samples"}
    return _check("agreement", status, text, **facts)


def _told_only(check: Check) -> Check:
    """A distance that fails no more, as the labels judge; values that are not finite still do."""
    if check.status != "failed" or check.measured is None:
        return check
    text = f"{check.message} It is held against a model of other weights: the labels judge."
    return check.model_copy(update={"status": "warning", "message": text})


def _judge_metric(metric: Metric, labels: np.ndarray, truth: str, limits: Limits) -> Check:
    ours, theirs = metric.kernel_sets.get(truth), metric.float_model
    if ours is None or theirs is None:
        return _check("metric", "skipped", f"'{metric.output}' has no labelled samples on {truth}.")
    count = f"{metric.samples[truth]:,} samples"
    if metric.kind == "accuracy":
        drop = theirs - ours
        text = (
            f"The accuracy of '{metric.output}' is {share_text(ours)} on {truth} ({count}), the "
            f"float model's {share_text(theirs)}; it may fall by {share_text(limits.metric_drop)}."
        )
    else:
        spread = float(np.mean(np.abs(labels - labels.mean(dtype=np.float64))))
        drop = (ours - theirs) / spread if spread else float(ours > theirs)
        text = (
            f"The mean absolute error of '{metric.output}' is {ours:.4g} on {truth} ({count}), "
            f"the float model's {theirs:.4g}; it may grow by {share_text(limits.metric_drop)} of "
            f"the labels' own mean deviation of {spread:.4g}."
        )
    status: CheckStatus = "passed" if drop <= limits.metric_drop + _ROUNDING else "failed"
    facts = {"measured": drop, "limit": limits.metric_drop, "unit": "drop"}
    return _check("metric", status, text, kernel_set=truth, **facts)


def _worst_layer(layers: tuple[LayerFidelity, ...]) -> Iterator[Check]:
    """No limit: which layer is worst tells where to look, not whether to ship."""
    measured = [layer for layer in layers if layer.sqnr_db is not None]
    if measured:
        worst = min(measured, key=lambda layer: layer.sqnr_db or 0.0)
        text = (
            f"Of {len(layers)} tensors shared with the float model, '{worst.tensor}' "
            f"({worst.op}) has the lowest SQNR: {worst.sqnr_db:.1f} dB."
        )
        facts = {"measured": worst.sqnr_db, "unit": "dB"}
        yield _check("layers", "passed", text, **facts)


def _check(name: str, status: CheckStatus, message: str, **facts: Any) -> Check:
    return Check(gate="fidelity", name=name, status=status, message=message, **facts)
