"""How a Keras 3 layer becomes a layer of tf_keras, and what becomes of those that cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge.configs import plain_config, policy_name, twin_config
from tfgreen.models.bridge.hosting import Keras3Layer, remember_class, remember_object
from tfgreen.models.bridge.registration import registered_twin
from tfgreen.models.keras2 import tf_keras

TwinOf = Callable[[Any], Any]

# Those of the same name in tf_keras sample, clip or crop in other ways.
_ALWAYS_HOSTED = frozenset(name for name in vars(keras.layers) if name.startswith("Random")) | {
    "CenterCrop",
    "Resizing",
}


def twin_layer(layer: Any, twin_of: TwinOf) -> Any:
    """A new, unbuilt twin of a layer.

    In order: the caller's registered twin; a rule of this file; tf_keras's layer of the same name
    and settings; else the Keras 3 layer itself, run inside a layer of tf_keras.

    twin_of: gives the twins of the layers inside it.
    """
    rule = _RULES.get(type(layer))
    if rule is not None and registered_twin(type(layer)) is None:
        return rule(layer, twin_of)
    return _plain_twin(layer)


def _plain_twin(layer: Any) -> Any:
    registered = registered_twin(type(layer))
    if registered is not None:
        keras2_class, translate = registered
        return translate(layer) if translate else _of_class(layer, keras2_class)
    same = getattr(tf_keras().layers, type(layer).__name__, None)
    if same is None or not is_of_keras(type(layer)) or type(layer).__name__ in _ALWAYS_HOSTED:
        return hosted_layer(layer)
    try:
        return _of_class(layer, same)
    except (UnsupportedModelError, TypeError, ValueError):
        # tf_keras's class lacks a setting of this layer.
        return hosted_layer(layer)


def is_of_keras(layer_class: type) -> bool:
    """Whether it is one of Keras's own public layers."""
    return getattr(keras.layers, layer_class.__name__, None) is layer_class


def hosted_layer(layer: Any) -> Any:
    """A tf_keras layer that runs this Keras 3 layer's code on weights of its own.

    Raises UnsupportedModelError for a layer that cannot be made again from its config.
    """
    if any(getattr(part, "stateful", False) for part in layer._flatten_layers()):
        raise UnsupportedModelError(
            f"{type(layer).__name__} '{layer.name}' keeps its state from batch to batch, with a "
            "setting that tf_keras's layer does not have. Build it with stateful=False."
        )
    try:
        configuration = plain_config(layer)
        type(layer).from_config(dict(configuration))
        built_with = layer.get_build_config()
        return Keras3Layer(
            layer=remember_class(type(layer)),
            configuration=configuration,
            built_with=built_with,
            name=layer.name,
            trainable=layer.trainable,
            dtype=policy_name(layer),
        )
    except (NotImplementedError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UnsupportedModelError(
            f"{type(layer).__name__} '{layer.name}' cannot be taken over to tf_keras: it cannot be "
            f"made again from its config ({reason}). Give the class a get_config that returns the "
            "arguments of its constructor, or name its tf_keras twin with tg.register_twin."
        ) from error


def _of_class(layer: Any, keras2_class: Any) -> Any:
    return keras2_class(**twin_config(layer, keras2_class))


def _lambda(layer: Any, twin_of: TwinOf) -> Any:
    """By its function, not its config: that would lose the function's globals."""
    key = remember_object(layer)
    return Keras3Layer(key, {}, None, name=layer.name, dtype=policy_name(layer))


def _leaky_relu(layer: Any, twin_of: TwinOf) -> Any:
    alpha = float(layer.negative_slope)
    return tf_keras().layers.LeakyReLU(alpha=alpha, name=layer.name, dtype=policy_name(layer))


def _normalization(layer: Any, twin_of: TwinOf) -> Any:
    """With constants: tf_keras forgets to use the weights that a clone's set_weights gives it."""
    if not layer.built:
        return hosted_layer(layer)
    return tf_keras().layers.Normalization(
        axis=layer.axis,
        mean=_as_list(layer.mean),
        variance=_as_list(layer.variance),
        invert=layer.invert,
        name=layer.name,
        dtype=policy_name(layer),
    )


def _as_list(values: Any) -> Any:
    return np.squeeze(np.asarray(values, "float64")).tolist()


def _bidirectional(layer: Any, twin_of: TwinOf) -> Any:
    """tf_keras makes the two directions again from their configs and names them itself."""
    parts = layer.forward_layer, layer.backward_layer
    forward, backward = (
        _recurrent(part, twin_of) if type(part) is keras.layers.RNN else _plain_twin(part)
        for part in parts
    )
    if isinstance(forward, Keras3Layer) or isinstance(backward, Keras3Layer):
        return hosted_layer(layer)
    forward._name = forward.name.removeprefix("forward_")
    backward._name = backward.name.removeprefix("backward_")
    return tf_keras().layers.Bidirectional(
        forward,
        backward_layer=backward,
        merge_mode=layer.merge_mode,
        name=layer.name,
        dtype=policy_name(layer),
        trainable=layer.trainable,
    )


def _time_distributed(layer: Any, twin_of: TwinOf) -> Any:
    inner = twin_of(layer.layer)
    return tf_keras().layers.TimeDistributed(
        inner, name=layer.name, dtype=policy_name(layer), trainable=layer.trainable
    )


def _recurrent(layer: Any, twin_of: TwinOf) -> Any:
    """keras.layers.RNN around cells: native when all cells are, hosted otherwise."""
    cells = layer.cell.cells if isinstance(layer.cell, keras.layers.StackedRNNCells) else ()
    twins = [_plain_twin(cell) for cell in cells or (layer.cell,)]
    if any(isinstance(twin, Keras3Layer) for twin in twins):
        return hosted_layer(layer)
    cell = tf_keras().layers.StackedRNNCells(twins) if cells else twins[0]
    settings = ("return_sequences", "return_state", "go_backwards", "stateful", "unroll")
    return tf_keras().layers.RNN(
        cell,
        **{name: getattr(layer, name) for name in settings},
        zero_output_for_mask=layer.zero_output_for_mask,
        name=layer.name,
        dtype=policy_name(layer),
        trainable=layer.trainable,
    )


_RULES: dict[type, Callable[[Any, TwinOf], Any]] = {
    keras.layers.Bidirectional: _bidirectional,
    keras.layers.Lambda: _lambda,
    keras.layers.LeakyReLU: _leaky_relu,
    keras.layers.Normalization: _normalization,
    keras.layers.RNN: _recurrent,
    keras.layers.TimeDistributed: _time_distributed,
}
