"""Keras 3 models with some of their layers replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import keras

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge.nodes import functional_of
from tfgreen.models.bridge.rebuilding import lambda_again, rebuilt

Replace = Callable[[Any], Any]


def with_layers(model: Any, replace: Replace) -> Any:
    """The same graph with `replace(layer)` in the place of each layer; it is not compiled.

    Nested models are entered. A layer that is used several times is replaced once.

    Raises:
        UnsupportedModelError: the model has no graph: it is subclassed or was never built.
    """

    def replacement(operation: Any) -> Any | None:
        is_nested = isinstance(operation, keras.Model) and functional_of(operation) is not None
        is_layer = isinstance(operation, keras.layers.Layer)
        return replace(operation) if is_layer and not is_nested else None

    return rebuilt(model, replacement)


def without_wrappers(model: Any, wrapper: Any) -> tuple[Any, list[tuple[Any, Any]]]:
    """The model without its wrappers, and each inner layer with the new one that has its weights.

    It is not compiled.
    """
    pairs: list[tuple[Any, Any]] = []

    def unwrapped(layer: Any) -> Any:
        inner = layer.layer if isinstance(layer, wrapper) else layer
        pairs.append((inner, fresh_layer(inner)))
        return pairs[-1][1]

    stripped = with_layers(model, unwrapped)
    copy_weights(pairs)
    return stripped, pairs


def is_keras3(candidate: Any) -> bool:
    """Whether it is a layer or a model of Keras 3."""
    return isinstance(candidate, keras.layers.Layer)


def require_tensorflow() -> None:
    """Raise UnsupportedModelError when Keras runs on another backend."""
    if keras.config.backend() != "tensorflow":
        raise UnsupportedModelError(
            f"Keras runs on the {keras.config.backend()} backend, and TensorFlow Model "
            "Optimization needs TensorFlow. Start the process with KERAS_BACKEND=tensorflow."
        )


def fresh_layer(layer: Any) -> Any:
    """A new layer of the same configuration, with new weights once it is built."""
    if isinstance(layer, keras.layers.Lambda):
        return lambda_again(layer)
    return type(layer).from_config(layer.get_config())


def copied_layer(layer: Any) -> Any:
    """A new layer with equal weights, built if the layer is."""
    copy = fresh_layer(layer)
    if layer.built and not copy.built:
        copy.build_from_config(layer.get_build_config())
    copy_weights([(layer, copy)])
    return copy


def copy_weights(pairs: Iterable[tuple[Any, Any]]) -> None:
    """Give each second layer the first one's weights, bit for bit."""
    for source, target in pairs:
        for ours, theirs in zip(source.weights, target.weights, strict=True):
            theirs.assign(ours.value)
        if isinstance(target, keras.layers.Normalization) and target.built:
            target.finalize_state()  # it computes with constants made of its weights
