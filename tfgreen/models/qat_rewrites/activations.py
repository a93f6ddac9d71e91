"""Activations as layers of their own, where the converter makes an op of its own of them."""

from __future__ import annotations

from typing import Any

from tfgreen.models.keras2 import tf_keras
from tfgreen.models.keras2_graph import Call, Replay, clone_of, graph_of, rebuilt
from tfgreen.models.qat_rewrites.changes import Change, Step

# The converter fuses these into the convolution or dense layer.
_FUSED = frozenset({"linear", "relu"})
LINEAR = frozenset(
    {"Conv1D", "Conv2D", "Conv3D", "Dense", "DepthwiseConv1D", "DepthwiseConv2D"}
    | {"Conv2DTranspose", "Conv1DTranspose", "EinsumDense"}
)


def split_activations(model: Any) -> Step:
    """Activations other than ReLU leave their layer; the layer of the activation keeps the name.

    `relu6` becomes a ReLU layer, which the converter fuses again; a function of Keras 3 alone a
    layer that a saved model can name.
    """
    changes: list[Change] = []

    def replacement(layer: Any) -> Call | None:
        kind, name = type(layer).__name__, activation_name(layer)
        if kind == "Activation" and name == "relu6":
            changes.append(Change(layer.name, "ReLU layer", (layer.name,)))
            return tf_keras().layers.ReLU(6.0, name=layer.name)
        if kind == "Activation" and _is_of_keras3_alone(layer.activation):
            return _layer_of(layer.activation, layer.name)
        if kind not in LINEAR or name in _FUSED:
            return None
        before = f"{layer.name}_linear"
        changes.append(Change(layer.name, f"{name} in a layer of its own", (before, layer.name)))
        return _split(layer, name, before)

    if not any(_concerns(call.layer) for call in graph_of(model).calls):
        return Step(model)
    return Step(rebuilt(model, Replay(replacement)), tuple(changes))


def activation_name(layer: Any) -> str:
    """The name of a layer's activation function; "" where it has none."""
    activation = getattr(layer, "activation", None)
    return getattr(activation, "__name__", type(activation).__name__) if activation else ""


def _concerns(layer: Any) -> bool:
    kind, name = type(layer).__name__, activation_name(layer)
    if kind == "Activation":
        return name == "relu6" or _is_of_keras3_alone(layer.activation)
    return kind in LINEAR and name not in _FUSED


def _is_of_keras3_alone(activation: Any) -> bool:
    """Whether it is Keras 3's own code, which the bridge runs behind a face of tf_keras."""
    import keras

    function = getattr(activation, "of_keras3", None)
    name = getattr(function, "__name__", "")
    return function is not None and getattr(keras.activations, name, None) is function


def _layer_of(activation: Any, name: str) -> Any:
    if not _is_of_keras3_alone(activation):
        return tf_keras().layers.Activation(activation, name=name)
    from tfgreen.models.qat_layers import Keras3Activation

    return Keras3Activation(activation.of_keras3.__name__, name=name)


def _split(layer: Any, name: str, linear_name: str) -> Call:
    layers = tf_keras().layers
    linear = clone_of(layer)
    linear._name, linear.activation = linear_name, tf_keras().activations.linear
    is_relu6 = name == "relu6"
    after = (
        layers.ReLU(6.0, name=layer.name) if is_relu6 else _layer_of(layer.activation, layer.name)
    )

    def call(inputs: Any) -> Any:
        was_built = linear.built
        outputs = after(linear(inputs))
        if not was_built:
            linear.set_weights(layer.get_weights())
        return outputs

    return call
