"""The twins of one crossing: each layer's is made once, so that sharing is kept."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import keras

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge.configs import policy_name
from tfgreen.models.bridge.hosting import Keras3Layer
from tfgreen.models.bridge.rules import hosted_layer, is_of_keras, twin_layer

MakeModel = Callable[[Any], Any]


class Translation:
    """The twins of one crossing.

    make_model: makes the twin of a nested model.
    hosted: names of layers whose tf_keras namesakes compute something else; they run as they are.
    """

    def __init__(self, make_model: MakeModel, hosted: Collection[str] = ()) -> None:
        self._make_model = make_model
        self._hosted = frozenset(hosted)
        self._twins: dict[int, Any] = {}

    def twin_of(self, layer: Any) -> Any:
        """The twin of a layer or nested model; the same one whenever it is asked for again."""
        if id(layer) not in self._twins:
            self._twins[id(layer)] = self._make(layer)
        return self._twins[id(layer)]

    def called(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        """The twin of a layer, and what it returns for these symbolic tensors.

        A twin that cannot take this call (tf_keras restricts some more than Keras 3) gives way to
        the Keras 3 layer itself.
        """
        twin = self.twin_of(layer)
        try:
            return twin, twin(*args, **kwargs)
        except UnsupportedModelError:
            raise
        except Exception as error:
            is_final = bool(twin.inbound_nodes) or not is_of_keras(type(layer))
            if is_final or isinstance(twin, Keras3Layer):
                raise _cannot_be_called(layer, error) from error
        self._twins[id(layer)] = twin = hosted_layer(layer)
        try:
            return twin, twin(*args, **kwargs)
        except Exception as error:
            raise _cannot_be_called(layer, error) from error

    def _make(self, layer: Any) -> Any:
        if isinstance(layer, keras.Model):
            return self._make_model(layer)
        policy_name(layer)
        if layer.name in self._hosted:
            return hosted_layer(layer)
        return twin_layer(layer, self.twin_of)


def _cannot_be_called(layer: Any, error: Exception) -> UnsupportedModelError:
    reason = " ".join(str(error).split())[:300]
    return UnsupportedModelError(
        f"{type(layer).__name__} '{layer.name}' cannot be called in tf_keras as Keras 3 calls it: "
        f"{reason} Name a twin that can with tg.register_twin, or replace the layer."
    )
