"""Keras 3 models with some of their layers replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import keras

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge.nodes import functional_of, own_arguments, run

Replace = Callable[[Any], Any]


def with_layers(model: Any, replace: Replace) -> Any:
    """The same graph with `replace(layer)` in the place of each layer; it is not compiled.

    Nested models are entered. A layer that is used several times is replaced once.

    Raises:
        UnsupportedModelError: the model has no graph: it is subclassed or was never built.
    """
    return _Replacing(replace).model(model)


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
        # By its function: a config is not trusted with code.
        return keras.layers.Lambda(
            layer.function,
            output_shape=layer._output_shape,
            mask=layer.mask,
            arguments=layer.arguments,
            name=layer.name,
            dtype=layer.dtype_policy,
        )
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


class _Replacing:
    def __init__(self, replace: Replace) -> None:
        self._replace = replace
        self._made: dict[int, Any] = {}

    def model(self, model: Any) -> Any:
        functional = functional_of(model)
        if functional is None:
            raise UnsupportedModelError(
                f"'{model.name}' ({type(model).__name__}) has no graph: it is subclassed or was "
                "never built. Write it with the functional API, or give a Sequential model an "
                "Input first."
            )
        if isinstance(model, keras.Sequential):
            layers = [self._again(layer) for layer in model.layers]
            return keras.Sequential([_input(functional.inputs[0]), *layers], name=model.name)
        inputs = keras.tree.map_structure(_input, functional._inputs_struct)
        outputs = run(functional, keras.tree.flatten(inputs), self._call, own_arguments)
        made = keras.Model(inputs, outputs, name=model.name)
        # By them `fit` finds the labels and losses of each output.
        made.output_names = list(model.output_names)
        return made

    def _call(self, node: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        operation = node.operation
        is_layer = isinstance(operation, keras.layers.Layer)
        return (self._again(operation) if is_layer else operation)(*args, **kwargs)

    def _again(self, layer: Any) -> Any:
        if id(layer) not in self._made:
            nested = isinstance(layer, keras.Model) and functional_of(layer) is not None
            self._made[id(layer)] = self.model(layer) if nested else self._replace(layer)
        return self._made[id(layer)]


def _input(tensor: Any) -> Any:
    name = tensor._keras_history.operation.name
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=name)
