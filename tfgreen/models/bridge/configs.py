"""Keras 3 configs as tf_keras takes them: dtype policies, activations, initializers and the like.

The rule for every other key: one that tf_keras's class does not know is dropped when it has the
value that Keras 3 gives it by default, and refused by name otherwise.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import keras

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge.functions import activation_twin, constraint_twin, regularizer_twin
from tfgreen.models.keras2 import tf_keras

# What tf_keras's Layer takes beside its named parameters.
_LAYER_KEYS = frozenset({"name", "trainable", "dtype"})

# Without effect on what a layer computes: random streams, kernels chosen by the hardware, the
# caches of low-rank and quantized training that is not on.
_WITHOUT_EFFECT = frozenset(
    {
        "seed",
        "use_cudnn",
        "flash_attention",
        "synchronized",
        "autocast",
        "registered_name",
        "module",
    }
)


# As good as not given, where the class has no such parameter.
_NEUTRAL = (None, False, "channels_last")


def twin_config(layer: Any, keras2_class: type) -> dict[str, Any]:
    """The keyword arguments that make the twin of a Keras 3 layer.

    Raises UnsupportedModelError for a setting that tf_keras's class does not have, and for a
    layer that Keras 3 has quantized.
    """
    accepted = _LAYER_KEYS | parameters(keras2_class).keys()
    if issubclass(keras2_class, tf_keras().layers.RNN):
        accepted |= {"zero_output_for_mask"}
    defaults = parameters(type(layer))
    config: dict[str, Any] = {}
    for key, value in plain_config(layer).items():
        if key == "dtype":
            config[key] = policy_name(layer)
        elif key in accepted:
            config[key] = _translated(key, value, layer)
        elif key not in _WITHOUT_EFFECT and value not in _NEUTRAL and value != defaults.get(key):
            raise UnsupportedModelError(
                f"{type(layer).__name__} '{layer.name}' has {key}={value!r}, which tf_keras's "
                f"{keras2_class.__name__} does not have. Set it back to "
                f"{defaults.get(key)!r}, or register a twin of your own with tg.register_twin."
            )
    return config


def plain_config(layer: Any) -> dict[str, Any]:
    """A layer's config; Keras warns of the lambdas in it, which are not taken from there."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*includes a `lambda`")
        return dict(layer.get_config())


def policy_name(layer: Any) -> str:
    """The name of a layer's dtype policy; UnsupportedModelError when it is a quantized one."""
    policy = layer.dtype_policy
    if getattr(policy, "quantization_mode", None) is not None:
        raise UnsupportedModelError(
            f"{type(layer).__name__} '{layer.name}' was quantized by Keras 3 ({policy.name}) and "
            "has no float weights left to work on. Give the model as it was before quantize()."
        )
    return str(policy.name)


def parameters(layer_class: type) -> dict[str, Any]:
    """Every named parameter of a class's constructors, those of its bases included."""
    found: dict[str, Any] = {}
    for base in reversed(layer_class.__mro__):
        if "__init__" in vars(base) and base is not object:
            for parameter in inspect.signature(base).parameters.values():
                found[parameter.name] = parameter.default
    return found


def _translated(key: str, value: Any, layer: Any) -> Any:
    for ending, (get, part) in _PARTS.items():
        if value is not None and (key == ending or key.endswith(f"_{ending}")):
            return part(getattr(layer, key) if hasattr(layer, key) else get(value))
    return value


def _initializer_twin(initializer: Any) -> Any:
    """tf_keras's own of the same settings; weights are copied, so others may become zeros."""
    if not isinstance(initializer, keras.initializers.Initializer):
        return "zeros"
    known = getattr(tf_keras().initializers, type(initializer).__name__, None)
    if known is None or not type(initializer).__module__.startswith("keras."):
        return "zeros"
    accepted = parameters(known)
    settings = {k: v for k, v in initializer.get_config().items() if k in accepted}
    return known(**settings)


# The ending of a config's key → what reads it in Keras 3, what makes its twin.
_PARTS: Mapping[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "activation": (keras.activations.get, activation_twin),
    "initializer": (keras.initializers.get, _initializer_twin),
    "regularizer": (keras.regularizers.get, regularizer_twin),
    "constraint": (keras.constraints.get, constraint_twin),
}
