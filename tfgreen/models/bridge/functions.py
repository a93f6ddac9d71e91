"""The small callables of a layer: activations, regularizers and constraints.

What both flavours have under one name and compute alike becomes tf_keras's own, which TensorFlow
Model Optimization knows by name; the rest is Keras 3's code behind a face of tf_keras.
`hard_sigmoid` is in the rest: the two flavours compute different functions under that name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge.hosting import remember_class, remembered_class
from tfgreen.models.keras2 import tf_keras

# Keras 3's name → tf_keras's name, where both compute the same function.
SAME_ACTIVATIONS = {
    "celu": None,
    "elu": "elu",
    "exponential": "exponential",
    "gelu": "gelu",
    "leaky_relu": "leaky_relu",
    "linear": "linear",
    "log_softmax": "log_softmax",
    "mish": "mish",
    "relu": "relu",
    "relu6": "relu6",
    "selu": "selu",
    "sigmoid": "sigmoid",
    "silu": "swish",
    "softmax": "softmax",
    "softplus": "softplus",
    "softsign": "softsign",
    "tanh": "tanh",
}
_SAME_REGULARIZERS = ("L1", "L2", "L1L2", "OrthogonalRegularizer")
_SAME_CONSTRAINTS = ("MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm")

_hosted_functions: dict[Any, Callable[..., Any]] = {}


def activation_twin(function: Any) -> Any:
    """tf_keras's activation of the same values, by name where it has one."""
    if function is None:
        return None
    name = SAME_ACTIVATIONS.get(getattr(function, "__name__", ""))
    if name is not None and getattr(keras.activations, function.__name__, None) is function:
        return tf_keras().activations.get(name)
    return hosted_function(function)


def hosted_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """A Python function as tf_keras can name it in a config and find it again in this process."""
    if function not in _hosted_functions:
        name = f"{getattr(function, '__name__', type(function).__name__)}"
        _hosted_functions[function] = _named(function, _free_name(name))
    return _hosted_functions[function]


def regularizer_twin(regularizer: Any) -> Any:
    """tf_keras's regularizer of the same penalty."""
    return _part_twin(regularizer, _SAME_REGULARIZERS, tf_keras().regularizers, Keras3Regularizer)


def constraint_twin(constraint: Any) -> Any:
    """tf_keras's constraint of the same projection."""
    return _part_twin(constraint, _SAME_CONSTRAINTS, tf_keras().constraints, Keras3Constraint)


def _part_twin(part: Any, same: tuple[str, ...], module: Any, host: type) -> Any:
    if part is None:
        return None
    name = type(part).__name__
    if name in same and type(part).__module__.startswith("keras."):
        return getattr(module, name)(**part.get_config())
    if not hasattr(part, "get_config"):
        raise UnsupportedModelError(
            f"{name} has no get_config, so that it cannot be taken over to tf_keras. Give it one "
            "that returns the arguments of its constructor."
        )
    return host(remember_class(type(part)), part.get_config())


def _free_name(name: str) -> str:
    name = name.strip("<>")
    taken = tf_keras().saving.get_custom_objects()
    numbers = (f"{name}_{number}" if number else name for number in range(len(taken) + 1))
    return next(free for free in numbers if f"tfgreen>{free}" not in taken)


def _named(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @tf.autograph.experimental.do_not_convert
    def run(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    run.__name__ = run.__qualname__ = name
    run.of_keras3 = function  # type: ignore[attr-defined]
    registered: Callable[..., Any] = tf_keras().saving.register_keras_serializable(
        package="tfgreen", name=name
    )(run)
    return registered


class _Hosted:
    """Something of Keras 3 that is called with one tensor: `part` is the key of its class."""

    def __init__(self, part: str, configuration: dict[str, Any]) -> None:
        self._names = {"part": part, "configuration": configuration}
        self._hosted = remembered_class(part)(**configuration)

    def __call__(self, x: Any) -> Any:
        return self._hosted(x)

    def get_config(self) -> dict[str, Any]:
        """The class's key and its config."""
        return dict(self._names)


@tf_keras().saving.register_keras_serializable(package="tfgreen")
class Keras3Regularizer(_Hosted, tf_keras().regularizers.Regularizer):  # type: ignore[misc]
    """A Keras 3 regularizer of the caller's own."""


@tf_keras().saving.register_keras_serializable(package="tfgreen")
class Keras3Constraint(_Hosted, tf_keras().constraints.Constraint):  # type: ignore[misc]
    """A Keras 3 constraint of the caller's own."""
