"""Layers that run two convolutions or another layer inside: taken apart."""

from __future__ import annotations

from typing import Any

from tfgreen.models.keras2 import tf_keras
from tfgreen.models.keras2_graph import Call, Replay, built_like, clone_of, graph_of, rebuilt
from tfgreen.models.qat_rewrites.changes import Change, Step

_SHARED = ("strides", "padding", "data_format", "dilation_rate", "depth_multiplier")


def separate(model: Any) -> Step:
    """SeparableConv1D and 2D as a depthwise and a 1x1 convolution; TimeDistributed(Dense) as Dense.

    The 1x1 convolution keeps the layer's name.
    """
    changes: list[Change] = []

    def replacement(layer: Any) -> Call | None:
        kind = type(layer).__name__
        if kind in ("SeparableConv1D", "SeparableConv2D") and layer.padding != "causal":
            first = f"{layer.name}_depthwise"
            changes.append(Change(layer.name, "depthwise and 1x1 convolution", (first, layer.name)))
            return _separated(layer, kind[-2:], first)
        if kind == "TimeDistributed" and type(layer.layer).__name__ == "Dense":
            changes.append(Change(layer.name, "Dense on the last axis", (layer.name,)))
            return _dense(layer)
        return None

    if not any(_concerns(call.layer) for call in graph_of(model).calls):
        return Step(model)
    return Step(rebuilt(model, Replay(replacement)), tuple(changes))


def _concerns(layer: Any) -> bool:
    return type(layer).__name__ in ("SeparableConv1D", "SeparableConv2D", "TimeDistributed")


def _separated(layer: Any, rank: str, depthwise_name: str) -> Call:
    layers = tf_keras().layers
    weights = layer.get_weights()
    shared = {key: getattr(layer, key) for key in _SHARED}
    depthwise = getattr(layers, f"DepthwiseConv{rank}")(
        layer.kernel_size, use_bias=False, name=depthwise_name, trainable=layer.trainable, **shared
    )
    pointwise = getattr(layers, f"Conv{rank}")(
        layer.filters,
        1,
        data_format=layer.data_format,
        activation=layer.activation,
        use_bias=layer.use_bias,
        name=layer.name,
        trainable=layer.trainable,
    )

    def call(inputs: Any) -> Any:
        between = depthwise(inputs)
        outputs = pointwise(between)
        kernel = weights[0] if rank == "2D" else weights[0].reshape(depthwise.weights[0].shape)
        depthwise.set_weights([kernel])
        pointwise.set_weights([weights[1], *weights[2:]])
        return outputs

    return call


def _dense(layer: Any) -> Call:
    copy = clone_of(layer.layer)
    copy._name = layer.name

    def call(inputs: Any) -> Any:
        if not copy.built:
            built_like(copy, layer.layer, inputs.shape)
        return copy(inputs)

    return call
