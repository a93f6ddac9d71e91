"""Weights of Keras 3 layers and of their twins, paired by the layers' names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tfgreen.errors import UnsupportedModelError

Pairs = list[tuple[Any, Any]]


def refuse_unequal_training(model: Any, twin: Any, pairs: Pairs) -> None:
    """Raise UnsupportedModelError where the twin would train other weights, or train them apart.

    pairs: as `paired_weights` gives them.
    """
    twins: dict[int, Any] = {}
    trained = {id(w) for w in model.trainable_weights}
    trained_there = {id(w) for w in twin.trainable_weights}
    for ours, theirs in pairs:
        if twins.setdefault(id(ours), theirs) is not theirs:
            raise UnsupportedModelError(
                f"The weight '{ours.path}' belongs to two layers, which tf_keras trains apart. "
                "Call one layer twice instead of giving its weights to another."
            )
        if (id(ours) in trained) != (id(theirs) in trained_there):
            raise UnsupportedModelError(
                f"The weight '{ours.path}' is trainable on its own terms, not on its layer's. Set "
                "`trainable` on the layer, which tf_keras takes over."
            )


def paired_weights(model: Any, twin: Any) -> Pairs:
    """Each weight of a Keras 3 model with the twin's.

    Layers that the twin keeps as constants (Normalization) are left out. Raises
    UnsupportedModelError, with the layer's name, for one that the twin does not have and for
    weights of other shapes.
    """
    layers = {layer.name: layer for layer in twin.layers}
    pairs: Pairs = []
    for layer in model.layers:
        if layer.name in layers:
            pairs += _of_layer(layer, layers[layer.name])
        elif layer.weights:
            raise UnsupportedModelError(
                f"The tf_keras model '{twin.name}' has no layer '{layer.name}', which holds "
                f"weights in the Keras 3 model. {_WAY_OUT}"
            )
    return pairs


_WAY_OUT = (
    "It was wrapped, folded or replaced: take wrappers off with the technique's finalize first; "
    "a model whose layers were folded or quantized has no Keras 3 form and stays a tf_keras "
    "model, which exports and saves (.h5) as it is."
)


def _of_layer(layer: Any, twin: Any) -> Pairs:
    if hasattr(layer, "_nodes_by_depth") or hasattr(layer, "_functional"):
        return paired_weights(layer, twin)
    if _wraps_one(layer) and _wraps_one(twin):
        return _of_layer(layer.layer, twin.layer)
    ours, theirs = layer.weights, own_weights(twin)
    if not theirs and getattr(twin, "input_mean", None) is not None:
        return []
    shapes = [tuple(w.shape) for w in ours], [tuple(w.shape) for w in theirs]
    if shapes[0] != shapes[1]:
        raise UnsupportedModelError(
            f"{type(layer).__name__} '{layer.name}' has weights of the shapes {shapes[0]}, its "
            f"tf_keras twin {type(twin).__name__} of {shapes[1]}. Register a twin whose weights "
            "have the same order and shapes with tg.register_twin."
        )
    return list(zip(ours, theirs, strict=True))


def _wraps_one(layer: Any) -> bool:
    return type(layer).__name__ == "TimeDistributed"


def own_weights(layer: Any) -> list[Any]:
    """A tf_keras layer's weights in Keras 3's order: its own first, then layer by layer.

    tf_keras itself puts all trainable ones first.
    """
    if hasattr(layer, "hosted_weights"):
        return list(layer.hosted_weights)
    own = [*layer._trainable_weights, *layer._non_trainable_weights]
    for part in layer._flatten_layers(recursive=False, include_self=False):
        own.extend(own_weights(part))
    return list({id(weight): weight for weight in own}.values())


def copy_values(pairs: Iterable[tuple[Any, Any]]) -> None:
    """Assign the first's value to the second, bit for bit."""
    for source, target in pairs:
        target.assign(np.asarray(source.numpy()))
