"""What the Keras 3 wrappers of pruning, clustering and quantization have in common."""

from __future__ import annotations

from typing import Any

import keras

from tfgreen.tfmot.graphs import copied_layer


class LayerWrapper(keras.layers.Wrapper):  # type: ignore[misc]
    """A layer around another, which it calls with all that it is called with.

    The inner layer is a copy: what is done to it does not reach the layer that was given. Masks,
    the input's shape, mixed precision and `trainable` are the inner layer's.
    """

    prefix = ""

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        kwargs.setdefault("name", f"{self.prefix}{layer.name}")
        kwargs.setdefault("dtype", layer.dtype_policy)
        kwargs.setdefault("trainable", layer.trainable)
        super().__init__(layer, **kwargs)
        self.supports_masking = layer.supports_masking
        self.supports_jit = False
        self.autocast = layer.autocast
        self._convert_input_args = layer._convert_input_args
        if getattr(layer, "_input_shape_arg", None) is not None:
            self._input_shape_arg = layer._input_shape_arg

    @classmethod
    def around(cls, layer: Any, **kwargs: Any) -> Any:
        """Wrap a copy of a layer; one that is built gives a wrapper that is built."""
        inner = copied_layer(layer)
        inner.trainable = layer.trainable
        wrapper = cls(inner, **kwargs)
        if inner.built:
            wrapper.build()
        return wrapper

    def call(self, inputs: Any, *args: Any, training: Any = None, **kwargs: Any) -> Any:
        """The inner layer's output."""
        return self.layer(inputs, *args, **kwargs)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The inner layer's mask."""
        return self.layer.compute_mask(inputs, previous_mask)

    def get_build_config(self) -> dict[str, Any] | None:
        """How to build the inner layer again."""
        return {"layer": self.layer.get_build_config()} if self.layer.built else None

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build the inner layer, and then this one."""
        if not self.layer.built:
            self.layer.build_from_config(config["layer"])
        if not self.built:
            self.build()
