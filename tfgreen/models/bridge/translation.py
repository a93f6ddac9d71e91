"""One Keras 3 layer → its twin in tf_keras, made once for each layer so that sharing is kept.

In order: the caller's registered twin; a rule of this file; tf_keras's layer of the same name and
settings; else the Keras 3 layer itself, run inside a layer of tf_keras.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge.configs import policy_name, twin_config
from tfgreen.models.bridge.hosting import (
    Keras3Layer,
    remember_class,
    remember_object,
)
from tfgreen.models.bridge.registration import registered_twin
from tfgreen.models.keras2 import tf_keras

MakeModel = Callable[[Any], Any]


class Translation:
    """The twins of one crossing.

    make_model: makes the twin of a nested model.
    """

    def __init__(self, make_model: MakeModel) -> None:
        self._make_model = make_model
        self._twins: dict[int, Any] = {}

    def twin_of(self, layer: Any) -> Any:
        """The twin of a layer or nested model; the same one whenever it is asked for again."""
        if id(layer) not in self._twins:
            self._twins[id(layer)] = self._make(layer)
        return self._twins[id(layer)]

    def _make(self, layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return self._make_model(layer)
        policy_name(layer)
        rule = _RULES.get(type(layer))
        if registered_twin(type(layer)) is None and rule is not None:
            return rule(layer, self)
        return plain_twin(layer)


def plain_twin(layer: Any) -> Any:
    """A new, unbuilt twin of a layer that contains no others."""
    registered = registered_twin(type(layer))
    if registered is not None:
        keras2_class, translate = registered
        return translate(layer) if translate else _of_class(layer, keras2_class)
    same = getattr(tf_keras().layers, type(layer).__name__, None)
    if same is None or getattr(keras.layers, type(layer).__name__, None) is not type(layer):
        return hosted_layer(layer)
    try:
        return _of_class(layer, same)
    except (UnsupportedModelError, TypeError, ValueError):
        # tf_keras's class lacks a setting of this layer.
        return hosted_layer(layer)


def hosted_layer(layer: Any) -> Any:
    """A tf_keras layer that runs this Keras 3 layer's code on weights of its own.

    Raises UnsupportedModelError for a layer that cannot be made again from its config.
    """
    try:
        configuration = layer.get_config()
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


def _lambda(layer: Any, translation: Translation) -> Any:
    """By its function, not its config: that would lose the function's globals."""
    key = remember_object(layer)
    return Keras3Layer(key, {}, None, name=layer.name, dtype=policy_name(layer))


def _leaky_relu(layer: Any, translation: Translation) -> Any:
    alpha = float(layer.negative_slope)
    return tf_keras().layers.LeakyReLU(alpha=alpha, name=layer.name, dtype=policy_name(layer))


def _normalization(layer: Any, translation: Translation) -> Any:
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


def _bidirectional(layer: Any, translation: Translation) -> Any:
    """tf_keras makes the two directions again from their configs and names them itself."""
    forward, backward = plain_twin(layer.forward_layer), plain_twin(layer.backward_layer)
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


def _time_distributed(layer: Any, translation: Translation) -> Any:
    inner = translation.twin_of(layer.layer)
    return tf_keras().layers.TimeDistributed(
        inner, name=layer.name, dtype=policy_name(layer), trainable=layer.trainable
    )


def _recurrent(layer: Any, translation: Translation) -> Any:
    """keras.layers.RNN around cells: native when all cells are, hosted otherwise."""
    cells = layer.cell.cells if isinstance(layer.cell, keras.layers.StackedRNNCells) else ()
    twins = [plain_twin(cell) for cell in cells or (layer.cell,)]
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


_RULES: dict[type, Callable[[Any, Translation], Any]] = {
    keras.layers.Bidirectional: _bidirectional,
    keras.layers.Lambda: _lambda,
    keras.layers.LeakyReLU: _leaky_relu,
    keras.layers.Normalization: _normalization,
    keras.layers.RNN: _recurrent,
    keras.layers.TimeDistributed: _time_distributed,
}
