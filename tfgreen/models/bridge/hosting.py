"""Layers of tf_keras that run what only Keras 3 has: its ops, its newer layers, the caller's own.

The code that runs is Keras 3's; the weights are tf_keras's, so that training, checkpoints and
clones work as with any other layer. A config names the class that is run. Classes that lie outside
Keras are found again in this process only; in another process `remember_class` must be called
first, which crossing a model with such a layer does.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge.arguments import decoded
from tfgreen.models.keras2 import tf_keras

_registered = tf_keras().saving.register_keras_serializable(package="tfgreen")

_remembered: dict[str, Any] = {}


def remember_class(thing: type) -> str:
    """The key under which a config names a class; it is found again in this process."""
    key = f"{thing.__module__}>{thing.__qualname__}"
    _remembered[key] = thing
    return key


def remember_object(thing: Any) -> str:
    """The key of an object that no config describes; only this process can find it."""
    return remember_maker(thing, lambda: thing)


def remember_maker(thing: Any, make: Callable[[], Any]) -> str:
    """The key under which `make` stands for the class of a thing that it knows how to make."""
    key = f"live>{id(thing)}"
    _remembered[key] = _Maker(thing, make)
    return key


@dataclass(frozen=True)
class _Maker:
    """Stands for a class; keeps the thing alive, so that no other gets its id."""

    thing: Any
    make: Callable[[], Any]

    def from_config(self, config: Any) -> Any:
        return self.make()


def remembered_class(key: str) -> Any:
    """The class of a key: of this process, or one of Keras's own."""
    if key in _remembered:
        return _remembered[key]
    module, _, name = key.partition(">")
    if module.split(".")[0] == "keras" and "." not in name:
        return getattr(importlib.import_module(module), name)
    raise UnsupportedModelError(
        f"The class {name} of {module} is not known in this process. Import its module and cross "
        "the model once with tfgreen, or load the Keras 3 model instead."
    )


@_registered
class Keras3Operation(tf_keras().layers.Layer):  # type: ignore[misc]
    """One op of a Keras 3 graph, such as `keras.ops.matmul(x, y)`; it has no weights.

    operation: the key of its class, with its `configuration`.
    arguments: what it is called with, plain; see `arguments.encoded`.
    """

    def __init__(
        self, operation: str, configuration: dict[str, Any], arguments: Any, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._names = {
            "operation": operation,
            "configuration": dict(configuration),
            "arguments": arguments,
        }
        self.__dict__["_hosted"] = remembered_class(operation).from_config(dict(configuration))
        self._autocast = False

    def call(self, inputs: Any) -> Any:
        """Run the op; inputs are its tensors in the order in which its arguments name them."""
        return self._run(inputs)

    @tf.autograph.experimental.do_not_convert
    def _run(self, inputs: Any) -> Any:
        args, kwargs = decoded(self._names["arguments"], tf.nest.flatten(inputs))
        return vars(self)["_hosted"].call(*args, **kwargs)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Keras 3's ops drop the mask."""

    def get_config(self) -> dict[str, Any]:
        """All that makes the layer again."""
        return {**super().get_config(), **self._names}


@_registered
class Keras3Layer(tf_keras().layers.Layer):  # type: ignore[misc]
    """A layer of Keras 3 with weights of tf_keras.

    layer: the key of its class, with its `configuration` and the `built_with` of its build config.
    `hosted_weights` are in the order of the Keras 3 layer's `weights`.
    """

    def __init__(
        self,
        layer: str,
        configuration: dict[str, Any],
        built_with: dict[str, Any] | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._names = {
            "layer": layer,
            "configuration": configuration,
            "built_with": built_with,
        }
        hosted = remembered_class(layer).from_config(dict(configuration))
        if not hosted.built and built_with is not None:
            hosted.build_from_config(built_with)
        self.__dict__["_hosted"] = hosted
        self._autocast = False
        self.supports_masking = hosted.supports_masking
        self._own = [self._twin_of(v) for v in hosted.variables]

    def _twin_of(self, variable: Any) -> Any:
        return self.add_weight(
            name=variable.path.replace("/", "_"),
            shape=variable.shape,
            dtype=variable.dtype,
            trainable=variable.trainable,
            initializer=tf_keras().initializers.Constant(0),
            experimental_autocast=False,
        )

    @property
    def hosted_kind(self) -> str:
        """The name of the Keras 3 layer's class."""
        return type(vars(self)["_hosted"]).__name__

    @property
    def hosted_weights(self) -> list[Any]:
        """One variable of tf_keras for each of the Keras 3 layer's `weights`."""
        hosted = vars(self)["_hosted"]
        own = {id(v): w for v, w in self._pairs(hosted)}
        return [own[id(v)] for v in hosted.weights]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Give all arguments but the first by name: a clone forgets the others."""
        parameters = inspect.signature(vars(self)["_hosted"].call).parameters.values()
        named = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        kwargs.update(zip(named[1:], args[1:], strict=False))
        first = args[0] if args else kwargs.pop(named[0])
        return super().__call__(first, *args[max(1, len(named)) :], **kwargs)

    def call(self, *args: Any, training: Any = None, **kwargs: Any) -> Any:
        """Run the Keras 3 layer on tf_keras's weights; what it updates is written back."""
        return self._run(args, kwargs, training)

    @tf.autograph.experimental.do_not_convert
    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any], training: Any) -> Any:
        hosted = vars(self)["_hosted"]
        if hosted.trainable != self.trainable:
            hosted.trainable = self.trainable
        taken = inspect.signature(hosted.call).parameters
        if "training" in taken:
            kwargs["training"] = bool(training) if isinstance(training, (bool, int)) else False
        if "mask" not in taken:  # Keras 3 finds the masks on the tensors.
            kwargs.pop("mask", None)
        values = {id(v): tf.convert_to_tensor(w) for v, w in self._pairs(hosted)}
        mapping = [(v, values[id(v)]) for v in hosted.variables]
        hosted._clear_losses()
        with keras.StatelessScope(mapping, collect_losses=True) as scope:
            outputs = hosted(*args, **kwargs)
            losses = list(hosted.losses)
        hosted._clear_losses()
        for variable, weight in self._pairs(hosted):
            value = scope.get_current_value(variable)
            if value is not values[id(variable)]:
                weight.assign(value)
        for loss in losses:
            self.add_loss(loss)
        return outputs

    def _pairs(self, hosted: Any) -> list[tuple[Any, Any]]:
        return list(zip(hosted.variables, self._own, strict=True))

    def get_config(self) -> dict[str, Any]:
        """All that makes the layer again, without its weights."""
        return {**super().get_config(), **self._names}
