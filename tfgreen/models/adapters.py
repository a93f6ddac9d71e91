"""Low-rank adapters that Keras's `enable_lora` puts beside kernels, and how they are merged.

A Keras file holds the sums already; a model object, and what it is made into, does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge.nodes import functional_of
from tfgreen.models.bridge.rebuilding import layer_again, rebuilt

_PARTS = ("lora_kernel_a", "lora_kernel_b", "lora_embeddings_a", "lora_embeddings_b")
_ADAPTED = ("kernel", "embeddings")


def has_adapters(model: Any) -> bool:
    """Whether some layer of a Keras 3 model has adapters, also one inside of another layer."""
    return any(_is_adapted(layer) for layer in _every_layer(model))


def refuse_adapters(model: Any) -> None:
    """Raise UnsupportedModelError for a Keras 3 model with adapters that are not merged."""
    if has_adapters(model):
        raise UnsupportedModelError(
            f"'{model.name}' has low-rank adapters that are not merged into its kernels. Give "
            "tfgreen.merge_lora(model)."
        )


def merged(model: Any) -> Any:
    """A new, uncompiled Keras 3 model with the adapters added to what they adapt.

    Raises:
        UnsupportedModelError: no graph, or adapters on kernels that are quantized.
    """
    copy = rebuilt(model, _without_adapters)
    for source, target in zip(_every_layer(model), _every_layer(copy), strict=True):
        values = dict(_values(source))
        for variable in _own(target):
            variable.assign(values[variable.name])
    return copy


def plain_values(layer: Any) -> list[np.ndarray]:
    """A layer's own weights in their order, adapters added to what they adapt."""
    return [value for _, value in _values(layer)]


def merged_for_conversion(model: Any) -> tuple[Any, tuple[str, ...]]:
    """The model to convert, and what was done; one without adapters, or a graph, as it is."""
    if not has_adapters(model) or functional_of(model) is None:
        return model, ()
    return merged(model), ("low-rank adapters are added to the kernels",)


def _without_adapters(layer: Any) -> Any:
    """Another layer for one with adapters; layers inside of others are made without by those."""
    if not _is_adapted(layer):
        return None
    if layer.quantization_mode is not None:
        raise UnsupportedModelError(
            f"Layer '{layer.name}' has low-rank adapters on a kernel that is quantized "
            f"({layer.quantization_mode}). Merge the adapters of the float model; an export "
            "quantizes by itself."
        )
    return layer_again(layer, lora_rank=None, lora_alpha=None)


def _values(layer: Any) -> Iterator[tuple[str, np.ndarray]]:
    """A layer's own weights by name."""
    for variable in _own(layer):
        if variable.name not in _PARTS:
            adapted = _is_adapted(layer) and variable.name in _ADAPTED
            value = getattr(layer, variable.name) if adapted else variable
            yield variable.name, np.asarray(value.numpy())


def _is_adapted(layer: Any) -> bool:
    return bool(getattr(layer, "lora_enabled", False))


def _own(layer: Any) -> list[Any]:
    variables = [*layer._trainable_variables, *layer._non_trainable_variables]
    return [one for one in variables if one.name != "seed_generator_state"]


def _every_layer(model: Any) -> list[Any]:
    return list(model._flatten_layers(include_self=False, recursive=True))
