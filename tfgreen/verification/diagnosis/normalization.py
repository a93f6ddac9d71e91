"""Moving statistics of BatchNormalization against what the samples really give.

With true statistics it gives each channel the mean beta and the deviation |gamma|, folded into a
convolution or not: so the channels before the activation tell whether the statistics fit, whatever
is quantized.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tfgreen.flatbuffer import Op, TfliteModel
from tfgreen.flatbuffer.edits import editable_copy
from tfgreen.flatbuffer.packing import pack
from tfgreen.verification.diagnosis.measuring import Comparison
from tfgreen.verification.diagnosis.record import Fault
from tfgreen.verification.diagnosis.running import Runner
from tfgreen.verification.diagnosis.segments import cut_segment, segment_to
from tfgreen.verification.metrics import classes

_SCOPE = re.compile(r"([^;]*?)/(?:batchnorm|FusedBatchNorm)", re.IGNORECASE)
_NUMBER = re.compile(r"(\d+)")
_FEWEST_SAMPLES = 16
_FAR_MEAN, _FAR_DEVIATION = 0.75, 1.75
# Twice as far: 8 bits lose a few dB by it. A momentum too slow for a short training is off so much.
_SLIGHT_MEAN, _SLIGHT_DEVIATION = 1.5, 3.5
# Samples of one class do not have the statistics of all: sound models are off by .6 and 1.8 there.
_ONE_SIDED_SHARE, _FARTHER = 0.8, 2.0
_RELUS = frozenset({"RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1"})


@dataclass(frozen=True, eq=False)
class Normalization:
    """One BatchNormalization layer of the Keras model.

    Attributes:
        name: Of the layer.
        gamma, beta: Its scale and offset, one a channel.
    """

    name: str
    gamma: np.ndarray
    beta: np.ndarray


def normalization_faults(
    comparison: Comparison, layers: Sequence[Normalization]
) -> Iterator[Fault]:
    """The first BatchNormalization whose moving statistics are not those of the samples.

    Nothing is told where layers and tensors cannot be assigned to each other, nor of fewer than
    16 samples.
    """
    if len(comparison.samples) < _FEWEST_SAMPLES:
        return
    places = _places(comparison.float_model)
    ordered = sorted(layers, key=lambda layer: _natural(layer.name))
    if len(places) != len(ordered):
        return
    found = []
    for layer, index in zip(ordered, places, strict=True):
        values = _before_activation(comparison, index)
        if values is None or values.shape[-1] != layer.gamma.size:
            return
        found.append((index, layer, *_strayed(values, layer)))
    times = _FARTHER if _are_one_sided(comparison) else 1.0
    off = [one for one in found if one[2] > times * _FAR_MEAN or one[3] > times * _FAR_DEVIATION]
    if not off:
        return
    index, layer, mean, deviation = min(off, key=lambda one: one[0])
    producer = comparison.float_model.producer(index)
    yield Fault(
        cause="batch-normalization",
        layer=comparison.float_model.tensors[index].name,
        op_index=None if producer is None else producer.index,
        op=None if producer is None else producer.name,
        message=f"The moving statistics of BatchNormalization '{layer.name}' are off: on these "
        f"samples its channels miss their mean by {mean:.3g} of their deviation, and their "
        f"deviation by a factor of {deviation:.3g} (medians). The float model computes with them, "
        "too.",
        remedy="Estimate the statistics again on training data (some batches with training=True), "
        "or train longer with a smaller momentum; check that the samples are prepared as for the "
        "training.",
        evidence={
            "layer": layer.name,
            "mean_off_deviations": round(mean, 3),
            "deviation_off_factor": round(deviation, 3),
            "layers_off": len(off),
            "layers": len(found),
        },
    )


def is_slight(fault: Fault) -> bool:
    """Whether a fault tells of moving statistics that are off too little to ruin a file."""
    told = fault.evidence
    if "deviation_off_factor" not in told:
        return False
    mean, deviation = told["mean_off_deviations"], told["deviation_off_factor"]
    return float(mean) <= _SLIGHT_MEAN and float(deviation) <= _SLIGHT_DEVIATION


def _are_one_sided(comparison: Comparison) -> bool:
    """Whether the float model puts nearly all samples into one class."""
    for index in comparison.float_model.outputs:
        told = classes(comparison.float_values[index].reshape(len(comparison.samples), -1))
        counts = np.unique(told, return_counts=True)[1]
        if comparison.float_model.tensors[index].shape[-1] > 1:
            return bool(counts.max() >= _ONE_SIDED_SHARE * told.size)
    return False


def _places(model: TfliteModel) -> list[int]:
    """The tensors that BatchNormalizations were folded into, in the order of their names."""
    scopes: dict[str, int] = {}
    for op in model.ops:
        for match in _SCOPE.finditer(model.tensors[op.outputs[0]].name):
            scopes.setdefault(match[1], op.outputs[0])
    return [scopes[scope] for scope in sorted(scopes, key=_natural)]


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in _NUMBER.split(name)]


def _before_activation(comparison: Comparison, index: int) -> np.ndarray | None:
    """A tensor's float values as they are before its op's activation; None if that is unknown."""
    model = comparison.float_model
    op = model.producer(index)
    if op is not None and op.name in _RELUS:
        return comparison.float_values.get(op.inputs[0])
    if op is None or not getattr(op.options, "fusedActivationFunction", 0):
        return comparison.float_values.get(index)
    segment = segment_to(model, index, set(comparison.float_values))
    if segment is None:
        return None
    runner = Runner(_linear(cut_segment(model, segment), op), "a layer without its activation")
    return runner.output([comparison.float_values[i] for i in segment.inputs])


def _linear(content: bytes, op: Op) -> bytes:
    """The file of a sole op without the activation that is fused into it."""
    model = TfliteModel.from_bytes(content)
    root, graph = editable_copy(model)
    graph.operators[-1] = copy.copy(graph.operators[-1])
    graph.operators[-1].builtinOptions = copy.copy(op.options)
    graph.operators[-1].builtinOptions.fusedActivationFunction = 0
    return pack(root, model.content)


def _strayed(values: np.ndarray, layer: Normalization) -> tuple[float, float]:
    """How far means (in deviations) and deviations (as a factor) are off: medians over channels."""
    flat = values.reshape(-1, values.shape[-1]).astype(np.float64)
    reach = np.maximum(np.abs(layer.gamma.astype(np.float64)), 1e-6)
    deviation = np.maximum(flat.std(axis=0), 1e-9)
    mean = np.abs(flat.mean(axis=0) - layer.beta) / np.maximum(reach, deviation)
    factor = np.exp(np.abs(np.log(deviation / reach)))
    return float(np.median(mean)), float(np.median(factor))
