"""How a model ends: the activation of an output, and the tensor that it was applied to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfgreen.models.known_classes import words

# They hand on what they are given, or round it.
_PASSING = words(
    """
    ActivityRegularization Dropout Flatten Identity Permute QuantizeLayer Reshape
    RoundedActivation SpatialDropout1D SpatialDropout2D
    """
)
_WRAPPERS = ("PruneLowMagnitude", "ClusterWeights", "QuantizeWrapper", "RoundedWeights")
_LINEAR = frozenset(["BatchNormalization", "Rescaling", "LayerNormalization", "TokenEmbedding"])
_SQUASHING = {"Softmax": "softmax", "Sigmoid": "sigmoid", "ReLU": "relu"}


@dataclass(frozen=True)
class Ending:
    """The end of one output.

    activation: "softmax", "sigmoid", "linear", another function's name, or None where the last
        layer does not tell.
    layer: the name of the layer that it was read off; "" without a graph.
    before: the symbolic tensor that the activation was applied to, where the activation is a layer
        of its own in the model's own graph; else None.
    """

    activation: str | None
    layer: str = ""
    before: Any | None = None

    @property
    def form(self) -> str | None:
        """ "logits" or "probabilities"; None where nobody knows."""
        known = {"softmax": "probabilities", "sigmoid": "probabilities", "linear": "logits"}
        return known.get(self.activation or "")


def endings_of(model: Any) -> tuple[Ending, ...]:
    """One for each output of a model of either Keras; of a model without a graph, none."""
    try:
        outputs = list(getattr(model, "outputs", None) or ())
    except (AttributeError, ValueError):
        return ()
    if any(not hasattr(tensor, "_keras_history") for tensor in outputs):
        return ()
    return tuple(_ending(tensor) for tensor in outputs)


def _ending(tensor: Any, is_nested: bool = False) -> Ending:
    layer, node_index, tensor_index = tuple(tensor._keras_history)[:3]
    kind = type(layer).__name__
    inputs = _inputs(layer, node_index)
    if kind in _PASSING and len(inputs) == 1 and hasattr(inputs[0], "_keras_history"):
        # A reshaped logit is no logit of this output's shape: only its activation is read.
        reshaped = kind in ("Flatten", "Permute", "Reshape")
        return _ending(inputs[0], is_nested or reshaped)
    if getattr(layer, "outputs", None) and getattr(layer, "layers", None):
        return _ending(layer.outputs[tensor_index], is_nested=True)
    activation = _activation(layer, len(tensor.shape))
    is_alone = kind in (*_SQUASHING, "Activation") and len(inputs) == 1 and not is_nested
    return Ending(activation, layer.name, inputs[0] if is_alone else None)


def _inputs(layer: Any, node_index: int) -> list[Any]:
    node = layer._inbound_nodes[node_index]
    tensors = node.keras_inputs if hasattr(node, "keras_inputs") else node.input_tensors
    return list(tensors)


def _activation(layer: Any, rank: int) -> str | None:
    kind = type(layer).__name__
    if kind in _SQUASHING:
        axis = getattr(layer, "axis", -1)
        return _SQUASHING[kind] if axis in (-1, rank - 1) else None
    if kind in _LINEAR:
        return "linear"
    if kind.startswith(_WRAPPERS) or kind == "TimeDistributed":
        return _activation(layer.layer, rank)
    if "_hosted" in vars(layer):
        return _activation(vars(layer)["_hosted"], rank)
    if not hasattr(layer, "activation"):
        return None
    function = layer.activation
    return "linear" if function is None else str(getattr(function, "__name__", "") or "") or None
