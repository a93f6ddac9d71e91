"""Ranges from data before training begins, so that its first step starts from the float model.

TF-MOT starts every range at [-6, 6] and follows the data by a thousandth a step: a model that was
good in float answers at chance for a long while. Here the float model runs on some samples first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tfgreen.compression.quantization.plan import Plan
from tfgreen.compression.quantization.wrapping import ROUNDING, output_name
from tfgreen.models.keras2 import tf_keras
from tfgreen.models.keras2_graph import Graph

BATCH = 32
SAMPLES = 256

Range = tuple[float, float]


def set_activation_ranges(
    wrapped: Any, model: Any, plan: Plan, inputs: Mapping[str, np.ndarray]
) -> dict[str, Range]:
    """Set the ranges of a wrapped model to those that the float model has on some samples.

    model: the flat model that `wrapped` was built from; it is run in inference, so that
    BatchNormalization uses the statistics that it has. inputs: arrays of one length by name of
    the input. Each range is the mean of the batches' extremes, which is what training goes
    towards; those of the model's inputs and outputs are of all samples, since a clipped output is
    a wrong answer. Returns the ranges by layer name.
    """
    points = _points(model, plan)
    extremes = _extremes(model, [tensor for _, tensor in points], _batches(model, inputs))
    at_the_ends = {id(tensor) for tensor in (*model.inputs, *model.outputs)}
    found: dict[str, Range] = {}
    for (name, tensor), values in zip(points, extremes, strict=True):
        low, high = _range(values, id(tensor) in at_the_ends)
        known = found.get(name, (low, high))
        found[name] = (min(low, known[0]), max(high, known[1]))
    layers = {layer.name: layer for layer in wrapped.layers}
    for name, (low, high) in found.items():
        layer = layers.get(ROUNDING.format(name)) or layers[name]
        _set_range(layer.ranges, low, high, is_symmetric=_is_symmetric(layer))
    return found


def _range(values: np.ndarray, is_an_end: bool) -> Range:
    """values: (batches, 2), minima and maxima."""
    if is_an_end:
        return float(values[:, 0].min()), float(values[:, 1].max())
    return float(values[:, 0].mean()), float(values[:, 1].mean())


def _points(model: Any, plan: Plan) -> list[tuple[str, Any]]:
    """The tensors of the float model that the wrapped one rounds to learned steps."""
    points = [
        (tensor._keras_history.layer.name, tensor)
        for tensor in model.inputs
        if tensor._keras_history.layer.name in plan.inputs
    ]
    for call in Graph(model).calls:
        roundings = plan.layers[call.layer.name].outputs
        for index, (tensor, rounding) in enumerate(zip(call.outputs, roundings, strict=True)):
            if rounding is not None and rounding.kind == "learned":
                points.append((output_name(call.layer, index), tensor))
    return points


def _batches(model: Any, inputs: Mapping[str, np.ndarray]) -> Iterable[list[np.ndarray]]:
    arrays = [inputs[name] for name in model.input_names]
    for start in range(0, len(arrays[0]), BATCH):
        yield [array[start : start + BATCH] for array in arrays]


def _extremes(
    model: Any, tensors: list[Any], batches: Iterable[list[np.ndarray]]
) -> list[np.ndarray]:
    """For each tensor an array (batches, 2) of minima and maxima."""
    import tensorflow as tf

    probe = tf_keras().Model(model.inputs, tensors)

    @tf.function(reduce_retracing=True, autograph=False)
    def ends(values: Any) -> Any:
        outputs = tf.nest.flatten(probe(values, training=False))
        return [tf.stack([tf.reduce_min(x), tf.reduce_max(x)]) for x in outputs]

    collected = [[end.numpy() for end in ends(list(map(tf.constant, b)))] for b in batches]
    return [np.stack(values) for values in zip(*collected, strict=True)]


def _set_range(variables: Mapping[str, Any], low: float, high: float, is_symmetric: bool) -> None:
    """Zero has to have a step of its own, so that padding and ReLU are exact."""
    low, high = min(low, 0.0), max(high, 0.0)
    if is_symmetric:
        high = max(-low, high)
        low = -high
    variables["min_var"].assign(low)
    variables["max_var"].assign(high)


def _is_symmetric(layer: Any) -> bool:
    config = getattr(layer, "quantize_config", None)
    quantizer = config.output if config is not None else layer.quantizer
    return bool(quantizer.symmetric)
