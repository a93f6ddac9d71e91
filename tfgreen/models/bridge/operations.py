"""Ops of a Keras 3 graph (`keras.ops`, `x + y`, `2 * x`) as layers of tf_keras.

What is a layer in disguise becomes that layer, since TensorFlow Model Optimization knows layers:
sums of two tensors, scalings, activations, reshapes, concatenations. Every other op runs as it is
inside a small layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from tfgreen.models.bridge.arguments import encoded
from tfgreen.models.bridge.functions import SAME_ACTIVATIONS
from tfgreen.models.bridge.hosting import Keras3Operation, remember_class, remember_object
from tfgreen.models.keras2 import tf_keras

Arguments = tuple[tuple[Any, ...], dict[str, Any]]

_MERGING = {
    "Add": "Add",
    "Multiply": "Multiply",
    "Subtract": "Subtract",
    "Maximum": "Maximum",
    "Minimum": "Minimum",
}


def operation_twin(operation: Any, arguments: Arguments, name: str) -> tuple[Any, list[Any]]:
    """A layer of tf_keras for one call of an op, and the symbolic tensors that it is called on."""
    args, kwargs = arguments
    if not kwargs and type(operation).__module__.startswith("keras."):
        rule = _RULES.get(type(operation).__name__)
        made = rule(operation, args, name) if rule else None
        if made is not None:
            return made
    return hosted_operation(operation, arguments, name)


def hosted_operation(operation: Any, arguments: Arguments, name: str) -> tuple[Any, list[Any]]:
    """The same for an op that runs as it is."""
    tensors: list[Any] = []
    plain = encoded(arguments, tensors, name)
    try:
        configuration = operation.get_config()
        type(operation).from_config(dict(configuration))
        key = remember_class(type(operation))
    except (NotImplementedError, TypeError, ValueError):
        key, configuration = remember_object(operation), {}
    return Keras3Operation(key, configuration, plain, name=name), tensors


def _merged(operation: Any, args: tuple[Any, ...], name: str) -> tuple[Any, list[Any]] | None:
    if len(args) != 2 or not all(isinstance(x, keras.KerasTensor) for x in args):
        return _rescaled(operation, args, name)
    first, second = args
    if first.shape != second.shape or first.dtype != second.dtype:
        return None
    layer = getattr(tf_keras().layers, _MERGING[type(operation).__name__])
    return layer(name=name, dtype=first.dtype), [first, second]


def _rescaled(operation: Any, args: tuple[Any, ...], name: str) -> tuple[Any, list[Any]] | None:
    """x * c, x + c, x - c, c - x and x / c are a scale and an offset."""
    first, second = args
    tensor, number = (first, second) if isinstance(first, keras.KerasTensor) else (second, first)
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return None
    if "float" not in tensor.dtype:
        return None
    kind = type(operation).__name__
    if tensor is second and kind in ("Divide", "TrueDivide"):
        return None
    factors = {
        "Add": (1.0, number),
        "Multiply": (number, 0.0),
        "Subtract": (1.0, -number) if tensor is first else (-1.0, number),
        "Divide": (1.0 / number if number else None, 0.0),
        "TrueDivide": (1.0 / number if number else None, 0.0),
    }.get(kind)
    if factors is None or factors[0] is None:
        return None
    scale, offset = factors
    layer = tf_keras().layers.Rescaling(scale, offset, name=name, dtype=tensor.dtype)
    return layer, [tensor]


def _activation(operation: Any, args: tuple[Any, ...], name: str) -> tuple[Any, list[Any]] | None:
    kind = {"Gelu": "gelu", "Relu6": "relu6"}.get(
        type(operation).__name__, type(operation).__name__.lower()
    )
    settings = operation.get_config()
    plain = {"name", "dtype"}
    is_plain = settings.get("approximate", False) is False and settings.get("axis", -1) == -1
    if not is_plain or set(settings) - plain - {"approximate", "axis"} or len(args) != 1:
        return None
    activation = tf_keras().layers.Activation(
        SAME_ACTIVATIONS[kind], name=name, dtype=args[0].dtype
    )
    return activation, [args[0]]


def _reshaped(operation: Any, args: tuple[Any, ...], name: str) -> tuple[Any, list[Any]] | None:
    shape = tuple(operation.newshape)
    if len(args) != 1 or not shape or shape[0] != -1 or any(n == -1 for n in shape[1:]):
        return None
    return tf_keras().layers.Reshape(shape[1:], name=name, dtype=args[0].dtype), [args[0]]


def _concatenated(operation: Any, args: tuple[Any, ...], name: str) -> tuple[Any, list[Any]] | None:
    tensors = list(args[0]) if len(args) == 1 and isinstance(args[0], (list, tuple)) else []
    if len(tensors) < 2 or operation.axis == 0 or len({x.dtype for x in tensors}) != 1:
        return None
    layer = tf_keras().layers.Concatenate(operation.axis, name=name, dtype=tensors[0].dtype)
    return layer, tensors


_Rule = Callable[[Any, tuple[Any, ...], str], tuple[Any, list[Any]] | None]

_RULES: dict[str, _Rule] = {
    **dict.fromkeys(_MERGING, _merged),
    **dict.fromkeys(("Divide", "TrueDivide"), _rescaled),
    **dict.fromkeys(("Relu", "Relu6", "Sigmoid", "Tanh", "Silu", "Gelu", "Softmax"), _activation),
    "Reshape": _reshaped,
    "Concatenate": _concatenated,
}
