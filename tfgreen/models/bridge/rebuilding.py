"""A Keras 3 model made again from its own graph: new layers of the same configs, new weights."""

from __future__ import annotations

from types import FunctionType
from typing import Any

import keras

from tfgreen.models.bridge.configs import plain_config
from tfgreen.models.bridge.nodes import functional_of, graph_of, own_arguments, run


def rebuilt(model: Any) -> Any:
    """A new, uncompiled Keras 3 model of the same layers, names and settings."""
    return _Rebuilding().model(model)


class _Rebuilding:
    def __init__(self) -> None:
        self._made: dict[int, Any] = {}

    def model(self, model: Any) -> Any:
        functional = graph_of(model)
        if isinstance(model, keras.Sequential):
            (tensor,) = functional.inputs
            layers = [self._again(layer) for layer in model.layers]
            return keras.Sequential(
                [_input(tensor), *layers], name=model.name, trainable=model.trainable
            )
        inputs = keras.tree.map_structure(_input, functional._inputs_struct)
        outputs = run(functional, keras.tree.flatten(inputs), self._call, own_arguments)
        return keras.Model(inputs, outputs, name=model.name, trainable=model.trainable)

    def _call(self, node: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._again(node.operation)(*args, **kwargs)

    def _again(self, operation: Any) -> Any:
        if id(operation) not in self._made:
            self._made[id(operation)] = self._make(operation)
        return self._made[id(operation)]

    def _make(self, operation: Any) -> Any:
        if functional_of(operation) is not None and isinstance(operation, keras.Model):
            return self.model(operation)
        if isinstance(operation, keras.layers.Lambda):
            return keras.layers.Lambda(
                operation.function,
                output_shape=operation._output_shape,
                mask=operation.mask,
                arguments=operation.arguments,
                name=operation.name,
                dtype=operation.dtype_policy,
            )
        config = plain_config(operation)
        functions = {name: vars(operation).get(name) for name in config}
        own = {name: f for name, f in functions.items() if isinstance(f, FunctionType)}
        return type(operation).from_config({**config, **own})


def _input(tensor: Any) -> Any:
    name = tensor._keras_history.operation.name
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=name)
