"""Twins of the caller's own layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from tfgreen.errors import UsageError
from tfgreen.models.keras2 import tf_keras

Translate = Callable[[Any], Any]

_registered: dict[type, tuple[type, Translate | None]] = {}


def register_twin(
    keras3_class: type, keras2_class: type, translate: Translate | None = None
) -> None:
    """Name the tf_keras class that does what a Keras 3 layer class of your own does.

    Without it, such a layer runs as it is inside a layer of tf_keras: right, but opaque, so that
    nothing inside it is pruned, clustered or quantized.

    keras2_class: its weights have the shapes and the order of keras3_class's weights.
    translate: takes a layer of keras3_class and returns the new, unbuilt layer of keras2_class,
        with the same name; by default `keras2_class.from_config` of the layer's own config, with
        Keras's parts of it (activations, initializers, dtype policy …) translated.

    Raises UsageError when a class is of the wrong flavour.
    """
    if not (isinstance(keras3_class, type) and issubclass(keras3_class, keras.layers.Layer)):
        raise UsageError(
            f"register_twin received {keras3_class!r} as its first class; expected a subclass of "
            "keras.layers.Layer."
        )
    if not (isinstance(keras2_class, type) and issubclass(keras2_class, tf_keras().layers.Layer)):
        raise UsageError(
            f"register_twin received {keras2_class!r} as its second class; expected a subclass of "
            "tf_keras.layers.Layer."
        )
    if translate is not None and not callable(translate):
        raise UsageError(f"register_twin received translate={translate!r}; expected a function.")
    _registered[keras3_class] = (keras2_class, translate)


def registered_twin(keras3_class: type) -> tuple[type, Translate | None] | None:
    """The tf_keras class and translation registered for exactly this class."""
    return _registered.get(keras3_class)
