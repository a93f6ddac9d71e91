"""BatchNormalization made part of the weights of the layer before it, in models of Keras 3."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tfgreen.models.bridge.nodes import functional_of, graph_of, needed_nodes, own_arguments
from tfgreen.models.bridge.rebuilding import LEFT_OUT, rebuilt

# The kernel that is scaled, and the axis of its output channels.
_KERNELS: dict[str, tuple[str, int]] = {
    "Dense": ("kernel", -1),
    "Conv1D": ("kernel", -1),
    "Conv2D": ("kernel", -1),
    "Conv3D": ("kernel", -1),
    "Conv1DTranspose": ("kernel", -2),
    "Conv2DTranspose": ("kernel", -2),
    "Conv3DTranspose": ("kernel", -2),
    "SeparableConv1D": ("pointwise_kernel", -1),
    "SeparableConv2D": ("pointwise_kernel", -1),
}
_DEPTHWISE = frozenset({"DepthwiseConv1D", "DepthwiseConv2D"})


def folded(model: Any) -> Any:
    """A new, uncompiled Keras 3 model without those layers; in inference its outputs are equal."""
    pairs = dict(_pairs(model))
    norms = {id(norm) for norm in pairs.values()}

    def replace(operation: Any) -> Any | None:
        if id(operation) in norms:
            return LEFT_OUT
        if operation in pairs:
            return type(operation).from_config({**operation.get_config(), "use_bias": True})
        return None

    copy = rebuilt(model, replace)
    originals = [layer for layer in _layers(model) if id(layer) not in norms]
    for original, layer in zip(originals, _layers(copy), strict=True):
        if original in pairs:
            _fold(original, pairs[original], layer)
        else:
            layer.set_weights(original.get_weights())
            if type(layer).__name__ == "Normalization":
                layer.finalize_state()  # it computes with constants made of its weights
    return copy


def _layers(model: Any) -> Iterator[Any]:
    """The layers of a model and of the models in it, in their order."""
    for layer in model.layers:
        if functional_of(layer) is None:
            yield layer
        else:
            yield from _layers(layer)


def _pairs(model: Any) -> Iterator[tuple[Any, Any]]:
    """Each linear layer that only a BatchNormalization reads, and that BatchNormalization."""
    graph = graph_of(model)
    nodes = needed_nodes(graph, own_arguments)
    results = {id(tensor) for tensor in graph.outputs}
    writers = {id(tensor): node for node in nodes for tensor in node.outputs}
    readers = Counter(id(tensor) for node in nodes for tensor in node.input_tensors)
    for inner in {id(n.operation): n.operation for n in nodes}.values():
        if functional_of(inner) is not None:
            yield from _pairs(inner)
    for node in nodes:
        before = writers.get(id(node.input_tensors[0])) if node.input_tensors else None
        if before is None or {id(node.outputs[0]), id(before.outputs[0])} & results:
            continue
        if readers[id(before.outputs[0])] == 1 and _can_fold(before, node):
            yield before.operation, node.operation


def _can_fold(before: Any, after: Any) -> bool:
    """Whether the call before is linear, by a kernel that only this BatchNormalization scales."""
    layer, norm = before.operation, after.operation
    is_pair = type(norm).__name__ == "BatchNormalization" and (
        type(layer).__name__ in _KERNELS or type(layer).__name__ in _DEPTHWISE
    )
    if not is_pair or len(layer._inbound_nodes) > 1 or len(norm._inbound_nodes) > 1:
        return False
    return (
        layer.activation is keras.activations.linear
        and norm.axis in (-1, len(before.outputs[0].shape) - 1)
        and getattr(layer, "data_format", "channels_last") == "channels_last"
    )


def _fold(layer: Any, norm: Any, target: Any) -> None:
    """Give `target` the weights of both."""
    variance = np.asarray(norm.moving_variance, np.float64)
    factor = 1.0 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        factor = factor * np.asarray(norm.gamma, np.float64)
    offset = -np.asarray(norm.moving_mean, np.float64) * factor
    if norm.center:
        offset = offset + np.asarray(norm.beta, np.float64)
    for name in ("kernel", "depthwise_kernel", "pointwise_kernel"):
        if hasattr(layer, name):
            getattr(target, name).assign(getattr(layer, name))
    scaled, axis = _KERNELS.get(type(layer).__name__, ("kernel", 0))
    kernel = np.asarray(getattr(layer, scaled), np.float64)
    if type(layer).__name__ in _DEPTHWISE:
        by_channel = factor.reshape(kernel.shape[-2:])
    else:
        by_channel = factor if axis == -1 else factor[:, None]
    bias = np.asarray(layer.bias, np.float64) if layer.use_bias else 0.0
    getattr(target, scaled).assign((kernel * by_channel).astype(np.float32))
    target.bias.assign((bias * factor + offset).astype(np.float32))
