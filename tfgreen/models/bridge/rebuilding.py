"""A Keras 3 model made again from its own graph: new layers of the same configs, new weights."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import keras

from tfgreen.models.bridge.configs import plain_config
from tfgreen.models.bridge.nodes import functional_of, graph_of, own_arguments, run

Replace = Callable[[Any], Any | None]
LEFT_OUT = object()


def rebuilt(model: Any, replace: Replace = lambda operation: None) -> Any:
    """A new, uncompiled Keras 3 model of the same layers, names and settings.

    replace: another layer for a layer, LEFT_OUT, or None where it is made again as it is. What is
        left out hands its input on.
    """
    return _Rebuilding(replace).model(model)


class _Rebuilding:
    def __init__(self, replace: Replace) -> None:
        self._replace = replace
        self._made: dict[int, Any] = {}

    def model(self, model: Any) -> Any:
        functional = graph_of(model)
        if isinstance(model, keras.Sequential):
            (tensor,) = functional.inputs
            layers = [self._again(layer) for layer in model.layers]
            kept = [layer for layer in layers if layer is not LEFT_OUT]
            return keras.Sequential(
                [_input(tensor), *kept], name=model.name, trainable=model.trainable
            )
        inputs = keras.tree.map_structure(_input, functional._inputs_struct)
        outputs = run(functional, keras.tree.flatten(inputs), self._call, own_arguments)
        made = keras.Model(inputs, outputs, name=model.name, trainable=model.trainable)
        made.output_names = list(model.output_names)  # by them `fit` finds labels and losses
        return made

    def _call(self, node: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        made = self._again(node.operation)
        return args[0] if made is LEFT_OUT else made(*args, **kwargs)

    def _again(self, operation: Any) -> Any:
        if id(operation) not in self._made:
            self._made[id(operation)] = self._make(operation)
        return self._made[id(operation)]

    def _make(self, operation: Any) -> Any:
        replacement = self._replace(operation)
        if replacement is not None:
            return replacement
        if functional_of(operation) is not None and isinstance(operation, keras.Model):
            return self.model(operation)
        if isinstance(operation, keras.layers.Lambda):
            return lambda_again(operation)
        return layer_again(operation)


def layer_again(layer: Any, **changes: Any) -> Any:
    """A new, unbuilt layer of the same class and config, but for `changes` of it."""
    config = plain_config(layer)
    functions = {name: vars(layer).get(name) for name in config}
    own = {name: f for name, f in functions.items() if isinstance(f, FunctionType)}
    return type(layer).from_config({**config, **own, **changes})


def lambda_again(layer: Any) -> Any:
    """A new Lambda layer of the same function; a config is not trusted with code."""
    return keras.layers.Lambda(
        layer.function,
        output_shape=layer._output_shape,
        mask=layer.mask,
        arguments=layer.arguments,
        name=layer.name,
        dtype=layer.dtype_policy,
    )


def _input(tensor: Any) -> Any:
    name = tensor._keras_history.operation.name
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=name)
