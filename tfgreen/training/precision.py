"""Mixed precision for the time of a training, on a model that is there already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tfgreen.errors import UnknownNameError, UnsupportedModelError
from tfgreen.models.loading import flavour_of

POLICIES = ("mixed_bfloat16", "mixed_float16")


def policy_for(mixed_precision: bool | str) -> str | None:
    """The name of Keras's policy: of True, float16 on a GPU and bfloat16 elsewhere.

    Raises UnknownNameError.

    >>> policy_for(False), policy_for("mixed_float16")
    (None, 'mixed_float16')
    """
    if mixed_precision is False:
        return None
    if mixed_precision is True:
        import tensorflow as tf

        return POLICIES[1] if tf.config.list_physical_devices("GPU") else POLICIES[0]
    if mixed_precision not in POLICIES:
        raise UnknownNameError("mixed precision", str(mixed_precision), POLICIES)
    return mixed_precision


def check_mixable(model: Any, policy: str | None) -> None:
    """Raise UnsupportedModelError where mixed precision cannot be had for the time of a training.

    Variables of tf_keras are made for one policy. Which layers of a subclassed model give its
    outputs, and have to keep 32 bits, cannot be told.
    """
    if policy is None:
        return
    if flavour_of(model) == "keras2":
        what, setter = "of tf_keras", "tf_keras.mixed_precision.set_global_policy"
    elif not getattr(model, "outputs", None):
        what, setter = "without a graph of layers", "keras.config.set_dtype_policy"
    else:
        return
    raise UnsupportedModelError(
        f"Received mixed precision for '{model.name}', a model {what}, which decides it when "
        f"layers are made. Call {setter}('{policy}') before you build it, and leave "
        "mixed_precision out."
    )


def _giving(model: Any) -> Iterator[int]:
    """Ids of the layers that give the outputs, within models that are such a layer, too."""
    for tensor in getattr(model, "outputs", None) or ():
        layer = tensor._keras_history.operation
        yield id(layer)
        if layer is not model:
            yield from _giving(layer)


@contextmanager
def mixed(model: Any, policy: str | None) -> Iterator[None]:
    """Let the float32 layers of a Keras 3 model compute in 16 bits; weights stay in 32.

    Layers that give the model's outputs stay as they are, also within a model that is the last
    layer. Afterwards all are as they were; the model has to be compiled before and after.
    """
    if policy is None:
        yield
        return
    import keras

    last = set(_giving(model))
    changed = [
        (layer, layer.dtype_policy)
        for layer in model._flatten_layers(include_self=True, recursive=True)
        if layer.dtype_policy.name == "float32" and id(layer) not in last
    ]
    try:
        for layer, _ in changed:
            layer.dtype_policy = keras.DTypePolicy(policy)
        yield
    finally:
        for layer, before in changed:
            layer.dtype_policy = before
