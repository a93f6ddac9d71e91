"""BatchNormalization where the converter does not fold it, or not without rounding in between.

Behind a Conv2D or a DepthwiseConv2D it stays: the converter folds it there, and its statistics
learn on. Elsewhere it becomes part of the weights before it, or a 1x1 depthwise convolution, with
the statistics that it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfgreen.models.keras2 import tf_keras
from tfgreen.models.keras2_graph import Call, Graph, LayerCall, Replay, clone_of, graph_of, rebuilt
from tfgreen.models.qat_rewrites.activations import activation_name
from tfgreen.models.qat_rewrites.changes import Change, Step

FOLDED_BY_THE_CONVERTER = frozenset({"Conv2D", "DepthwiseConv2D"})
_FOLDED_HERE = frozenset({"Dense", "Conv1D", "DepthwiseConv1D"})
_NORMALIZATIONS = frozenset({"BatchNormalization", "SyncBatchNormalization"})
_DEPTHWISE_RANKS = (2, 3, 4)


def fold_batch_normalization(model: Any, *, only_fold: bool = False) -> Step:
    """Fold it into Dense and Conv1D before it; make a depthwise convolution of it elsewhere.

    only_fold: fold it into Conv2D and DepthwiseConv2D too, and leave it as it is elsewhere.
    """
    folded_here = _FOLDED_HERE | FOLDED_BY_THE_CONVERTER if only_fold else _FOLDED_HERE
    graph = graph_of(model)
    into: dict[int, _Affine] = {}
    gone: dict[int, str] = {}
    alone: dict[int, LayerCall] = {}
    for call in graph.calls:
        if type(call.layer).__name__ not in _NORMALIZATIONS or not _is_last_axis(call):
            continue
        before = _linear_before(graph, call)
        if before is None:
            has_rank = len(call.outputs[0].shape) in _DEPTHWISE_RANKS
            if has_rank and graph.is_called_once(call.layer) and not only_fold:
                alone[id(call.layer)] = call
        elif type(before.layer).__name__ in folded_here:
            into[id(before.layer)] = _affine(call.layer)
            gone[id(call.layer)] = before.layer.name
    if not into and not alone:
        return Step(model)
    changes: list[Change] = []

    def replacement(layer: Any) -> Call | None:
        if id(layer) in into:
            return _folded(layer, into[id(layer)])
        if id(layer) in gone:
            changes.append(Change(layer.name, f"folded into '{gone[id(layer)]}'"))
            return lambda inputs, **_: inputs
        if id(layer) in alone:
            rank = len(alone[id(layer)].outputs[0].shape)
            names = _names(layer, rank)
            changes.append(Change(layer.name, "1x1 depthwise convolution", names))
            return _depthwise(layer, rank, names)
        return None

    made = rebuilt(model, Replay(replacement))
    return Step(made, tuple(changes))


@dataclass(frozen=True)
class _Affine:
    """What a BatchNormalization computes in inference: factor * x + offset, by channel."""

    factor: np.ndarray
    offset: np.ndarray


def _affine(layer: Any) -> _Affine:
    mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
    factor = 1.0 / np.sqrt(variance.astype(np.float64) + layer.epsilon)
    if layer.scale:
        factor = factor * layer.gamma.numpy()
    offset = -mean * factor
    if layer.center:
        offset = offset + layer.beta.numpy()
    return _Affine(factor.astype(np.float32), offset.astype(np.float32))


def _is_last_axis(call: LayerCall) -> bool:
    rank = len(call.outputs[0].shape)
    axis = call.layer.axis
    axes = list(axis) if isinstance(axis, list | tuple) else [axis]
    return axes in ([-1], [rank - 1]) and len(call.inputs) == 1


def _linear_before(graph: Graph, call: LayerCall) -> LayerCall | None:
    """The call of a linear layer whose output goes only into this BatchNormalization."""
    before = graph.writer(call.inputs[0])
    if before is None or graph.only_reader(before) is not call:
        return None
    known = FOLDED_BY_THE_CONVERTER | _FOLDED_HERE
    if type(before.layer).__name__ not in known or activation_name(before.layer) != "linear":
        return None
    both = (before.layer, call.layer)
    return before if all(graph.is_called_once(layer) for layer in both) else None


def _folded(layer: Any, affine: _Affine) -> Call:
    copy = clone_of(layer)
    copy.use_bias = True

    def call(inputs: Any) -> Any:
        outputs = copy(inputs)
        kernel, *rest = layer.get_weights()
        bias = rest[0] if rest else 0.0
        factor = affine.factor.reshape(kernel.shape[1:]) if _is_depthwise(layer) else affine.factor
        copy.set_weights([kernel * factor, bias * affine.factor + affine.offset])
        return outputs

    return call


def _is_depthwise(layer: Any) -> bool:
    return type(layer).__name__.startswith("Depthwise")


def _names(layer: Any, rank: int) -> tuple[str, ...]:
    """Of the layers that stand for it; the last one has its name."""
    if rank > 2:
        return (layer.name,)
    return (f"{layer.name}_in", f"{layer.name}_depthwise", layer.name)


def _depthwise(layer: Any, rank: int, names: tuple[str, ...]) -> Call:
    layers = tf_keras().layers
    kind = layers.DepthwiseConv1D if rank == 3 else layers.DepthwiseConv2D
    copy = kind(1, name=names[-2] if rank == 2 else names[0], trainable=layer.trainable)
    affine = _affine(layer)

    def call(inputs: Any, **_: Any) -> Any:
        channels = int(inputs.shape[-1])
        if rank == 2:
            inputs = layers.Reshape((1, 1, channels), name=names[0])(inputs)
        outputs = copy(inputs)
        copy.set_weights([affine.factor.reshape(copy.weights[0].shape), affine.offset])
        if rank == 2:
            outputs = layers.Reshape((channels,), name=names[-1])(outputs)
        return outputs

    return call
