"""The examination of a file: from what could be wrong with the pair to what each op does."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tfgreen.data import Samples
from tfgreen.flatbuffer import TfliteModel
from tfgreen.runtimes import quantize_inputs
from tfgreen.verification.diagnosis.causes import explain
from tfgreen.verification.diagnosis.channels import bulk_excess_db, crowding_db
from tfgreen.verification.diagnosis.data import (
    Labelled,
    at_chance,
    chance_of,
    data_fault,
)
from tfgreen.verification.diagnosis.endings import ending_faults
from tfgreen.verification.diagnosis.finite import not_finite
from tfgreen.verification.diagnosis.graphs import absorbed, graph_faults
from tfgreen.verification.diagnosis.kernels import kernel_faults
from tfgreen.verification.diagnosis.measuring import (
    SAMPLES,
    Comparison,
    Measurement,
    OnProgress,
    measure,
    whole_batches,
)
from tfgreen.verification.diagnosis.normalization import (
    Normalization,
    is_slight,
    normalization_faults,
)
from tfgreen.verification.diagnosis.pairs import pair_faults
from tfgreen.verification.diagnosis.record import Diagnosis, Fault, LayerRow
from tfgreen.verification.diagnosis.running import Runner
from tfgreen.verification.diagnosis.steps import reals_of
from tfgreen.verification.diagnosis.suspects import is_negligible, suspects_among
from tfgreen.verification.fidelity import paired_outputs
from tfgreen.verification.metrics import accuracy, agreement, classes, is_classification

_LABELLED_SAMPLES = 256
_RANGE_CAUSES = frozenset({"range-too-wide", "range-too-narrow"})
_WEIGHT_CAUSES = frozenset({"weights-differ", "batch-normalization"})
_MUCH = 0.3


@dataclass(frozen=True)
class Case:
    """What is examined.

    Attributes:
        float_content, content: The float file and the quantized one.
        samples: Real inputs by name, with labels if there are any.
        calibration: What the file was calibrated with, if that is known.
        sample_limit: How many samples the ops are measured on.
        kernel_sets: Where the file will run; those that are installed are compared.
        normalizations: BatchNormalization layers of the Keras model, if they are known.
        name: What the file is called.
    """

    float_content: bytes
    content: bytes
    samples: Samples
    calibration: Samples | None = None
    sample_limit: int = SAMPLES
    kernel_sets: tuple[str, ...] = ()
    normalizations: tuple[Normalization, ...] = ()
    name: str = ""


def examine(case: Case, on_progress: OnProgress | None = None) -> Diagnosis:
    """Find what is wrong with a file.

    Raises:
        UnsupportedModelError: inputs or outputs that are not the model's.
        InvalidDataError: samples that do not fit.
    """
    tell = on_progress or (lambda step, done, of: None)
    tell("running both models", 0, 0)
    probed = case.samples.spread(case.sample_limit)
    comparison = Comparison(case.float_content, case.content, probed)
    labelled, labels = _labelled(case, comparison)
    broken = not_finite(comparison)
    if broken is not None:
        return _diagnosis(case, comparison, [broken], None, labelled)
    pairs = list(pair_faults(comparison))
    if pairs:
        return _diagnosis(case, comparison, pairs, None, labelled)
    measurement = measure(comparison, on_progress)
    tell("naming causes", 0, 0)
    faults = _faults(case, comparison, measurement, labelled, labels)
    return _diagnosis(case, comparison, faults, measurement, labelled)


def _faults(
    case: Case,
    comparison: Comparison,
    measurement: Measurement,
    labelled: Labelled,
    labels: np.ndarray | None,
) -> list[Fault]:
    layers = _layer_faults(comparison, measurement)
    faults = list(normalization_faults(comparison, case.normalizations))
    accused = layers or faults or labelled.is_chance
    data = data_fault(comparison, case.calibration, labels) if accused else None
    culprit = _wrong_weights(layers)
    if data is not None and culprit is not None and (data.op_index or 0) >= culprit:
        data = None  # the ranges are those of the network with the wrong weights
        layers = [one for one in layers if not _is_range(one) or (one.op_index or 0) < culprit]
    if data is not None:
        faults = [data]  # of other samples, statistics tell nothing
        layers = [fault for fault in layers if not _is_range(fault)]
    if labelled.is_chance and not faults:
        faults = [at_chance(labelled)]
    graph = list(graph_faults(comparison.model))
    layers = absorbed(comparison.model, layers, graph)
    layers += ending_faults(comparison, measurement.layers)
    kernels = kernel_faults(comparison, case.kernel_sets)
    first, then = (layers, faults) if _is_aside(faults, layers) else (faults, layers)
    return _in_order([*first, *then, *graph, *kernels])


def _is_aside(faults: Sequence[Fault], layers: Sequence[Fault]) -> bool:
    """Whether moving statistics are off so little that an op's large error is not theirs."""
    much = any((fault.share_of_final_error or 0.0) >= _MUCH for fault in layers)
    return much and bool(faults) and all(is_slight(fault) for fault in faults)


def _is_range(fault: Fault) -> bool:
    return fault.cause in _RANGE_CAUSES


def _wrong_weights(layers: Sequence[Fault]) -> int | None:
    """The first op whose weights are not the float model's, where that is much of the error."""
    for fault in layers:
        much = (fault.share_of_final_error or 0.0) >= _MUCH
        if fault.cause in _WEIGHT_CAUSES and much:
            return fault.op_index
    return None


def _layer_faults(comparison: Comparison, measurement: Measurement) -> list[Fault]:
    """None where the whole file is sound: a repaired one may hold other tensors than the model."""
    if is_negligible(measurement.total_noise):
        return []
    suspects = suspects_among(
        measurement.layers,
        measurement.added_db,
        measurement.total_noise,
        lambda index: max(
            measured_by(comparison.truths[index], measurement.added[index])
            for measured_by in (crowding_db, bulk_excess_db)
        ),
    )
    found = (explain(comparison, suspect) for suspect in suspects)
    return [fault for fault in found if fault is not None]


def _in_order(faults: Iterable[Fault]) -> list[Fault]:
    """Each layer and cause once."""
    seen = set()
    kept = []
    for fault in faults:
        key = (fault.cause, fault.layer)
        if key not in seen:
            seen.add(key)
            kept.append(fault)
    return kept


def _diagnosis(
    case: Case,
    comparison: Comparison,
    faults: Sequence[Fault],
    measurement: Measurement | None,
    labelled: Labelled,
) -> Diagnosis:
    rows = tuple(
        LayerRow(
            op_index=layer.op_index,
            op=layer.op_name,
            tensor=layer.tensor_name,
            own_sqnr_db=layer.own_sqnr_db,
            inherited_sqnr_db=layer.inherited_sqnr_db,
            ideal_sqnr_db=layer.ideal_sqnr_db,
            stored_sqnr_db=layer.stored_sqnr_db,
            alone_sqnr_db=layer.alone_sqnr_db,
            share_of_final_error=layer.share_of_final_error,
        )
        for layer in (measurement.layers if measurement else ())
    )
    noise = comparison.final_noise()
    return Diagnosis(
        file=case.name,
        faults=tuple(faults),
        layers=rows,
        sqnr_db=_decibel(noise),
        agreement=_agreement(comparison),
        float_accuracy=labelled.float_accuracy,
        file_accuracy=labelled.file_accuracy,
        samples=len(comparison.samples),
    )


def _decibel(noise: float) -> float | None:
    """SQNR of noise over signal; minus infinity where the file gives no numbers."""
    if not math.isfinite(noise):
        return -math.inf
    return -10 * math.log10(noise) if noise > 0 else None


def _agreement(comparison: Comparison) -> float | None:
    """Least share of samples with the same class, over the outputs that hold classes."""
    model = comparison.model
    shares = []
    for position, index in enumerate(model.outputs):
        if index in comparison.truths and is_classification(model, position, None):
            truth, given = comparison.truths[index], comparison.reals(index)
            shape = (-1, *model.tensors[index].shape[1:])
            shares.append(agreement(truth.reshape(shape), given.reshape(shape)))
    return min(shares, default=None)


def _labelled(case: Case, comparison: Comparison) -> tuple[Labelled, np.ndarray | None]:
    """Accuracies of the first classifying output, and the labels of the comparison's samples."""
    labels = case.samples.labels_for(comparison.model.output_names)
    model = comparison.model
    for position, name in enumerate(model.output_names):
        if name not in labels or not is_classification(model, position, labels[name]):
            continue
        chosen = whole_batches(case.samples.spread(_LABELLED_SAMPLES), model)
        truth = chosen.labels_for(model.output_names)[name]
        there = paired_outputs(model, comparison.float_model)[position]
        true = _scores(case.float_content, comparison.float_model, there, chosen)
        given = _scores(case.content, model, position, chosen)
        told = classes(true)
        chance = chance_of(_class_numbers(truth, told.shape), told)
        own = comparison.samples.labels_for(model.output_names)[name]
        picked = _class_numbers(own, (len(own), *told.shape[1:]))
        found = Labelled(accuracy(true, truth), accuracy(given, truth), chance)
        return found, picked.reshape(-1)
    return Labelled(), None


def _class_numbers(labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Labels in the shape of the classes told, whether they are numbers or one-hot."""
    if labels.size != math.prod(shape):
        labels = labels.argmax(axis=-1)
    return labels.reshape(shape)


def _scores(content: bytes, file: TfliteModel, position: int, samples: Samples) -> np.ndarray:
    """(samples, ..., class count)."""
    values = Runner(content, "the model").output(quantize_inputs(file, samples), position)
    tensor = file.tensors[file.outputs[position]]
    return reals_of(values, tensor).reshape(len(samples), *tensor.shape[1:])
