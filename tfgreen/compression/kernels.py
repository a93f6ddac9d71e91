"""Which weights of a layer are kernels, and why the others are left alone.

A kernel is a floating point weight of two and more dimensions that training changes. Biases,
normalization and the slopes of PReLU are exempt: they are few, and zeros among them cost accuracy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfgreen.compression.technique import NO_WEIGHTS

_KERNEL_DIMENSIONS = 2
_DEPTHWISE = frozenset({"DepthwiseConv1D", "DepthwiseConv2D"})
_HOSTED = "_hosted"
_SLOPES = frozenset({"PReLU", "LayerScale"})


@dataclass(frozen=True)
class Kernel:
    """One kernel of a layer.

    name: within the layer: "kernel", "recurrent_kernel" …
    variable: of either Keras.
    is_depthwise: whether it filters each channel by itself.
    """

    name: str
    variable: Any
    is_depthwise: bool

    def values(self) -> np.ndarray:
        """A copy of its numbers."""
        return np.array(self.variable.numpy())


def kernels_of(layer: Any) -> tuple[Kernel, ...]:
    """The kernels of a layer of either Keras, those of the layers inside it too."""
    if hasattr(layer, "hosted_weights"):
        return _hosted_kernels(layer)
    found: dict[int, Kernel] = {}
    for inner in _with_inner_layers(layer):
        if is_normalization(inner) or type(inner).__name__ in _SLOPES:
            continue
        for variable in _learned(inner):
            if _is_kernel(variable):
                name = _name(variable)
                depthwise = name.startswith("depthwise") or type(inner).__name__ in _DEPTHWISE
                found.setdefault(id(variable), Kernel(name, variable, depthwise))
    return tuple(found.values())


def reason_without_kernels(layer: Any) -> str:
    """Why a layer without kernels has none."""
    layer = vars(layer).get(_HOSTED, layer)
    if is_normalization(layer):
        return "normalization is exempt"
    if type(layer).__name__ in _SLOPES:
        return "slopes and scales are exempt"
    # A hosted operation, such as keras.ops.transpose, is no layer and has no weights at all.
    return "no kernels" if getattr(layer, "weights", ()) else NO_WEIGHTS


def is_normalization(layer: Any) -> bool:
    """Whether it is a layer that normalizes, as BatchNormalization."""
    return any("Normalization" in base.__name__ for base in type(layer).__mro__)


def _hosted_kernels(layer: Any) -> tuple[Kernel, ...]:
    """Those of the Keras 3 layer that a tf_keras layer runs, as variables of tf_keras."""
    hosted = vars(layer)[_HOSTED]
    twins = {
        id(variable): twin
        for variable, twin in zip(hosted.weights, layer.hosted_weights, strict=True)
    }
    return tuple(
        replace(kernel, variable=twins[id(kernel.variable)]) for kernel in kernels_of(hosted)
    )


def _with_inner_layers(layer: Any) -> Iterator[Any]:
    yield layer
    if hasattr(layer, "_flatten_layers"):
        yield from layer._flatten_layers(include_self=False, recursive=True)


def _learned(layer: Any) -> list[Any]:
    """A layer's own weights that were made to be trained, also while the layer is frozen."""
    own = getattr(layer, "_trainable_variables", None)
    return list(own if own is not None else layer._trainable_weights)


def _is_kernel(variable: Any) -> bool:
    if len(variable.shape) < _KERNEL_DIMENSIONS or "bias" in _name(variable):
        return False
    return "float" in str(getattr(variable.dtype, "name", variable.dtype))


def _name(variable: Any) -> str:
    return str(variable.name).split(":")[0].rsplit("/", 1)[-1]
