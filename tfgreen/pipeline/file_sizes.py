"""How large the file of a model becomes, from the shapes of its weights: nothing is converted.

A `.tflite` file holds each weight once. For each output channel there is a bias, the scale and the
zero point of its weights, and in integer files those of the bias. Each op takes some hundred bytes
for its tensors and their names. How many ops a layer becomes is known within bounds, and so is the
size. What pruning and clustering leave may be packed (`tfgreen.encodings`), which lowers the lower
bound; whether a packed file answers the same is known only when it is there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tfgreen.inspection import LayerFacts
from tfgreen.profile import ExportProfile
from tfgreen.recipe import Stage

Bounds = tuple[int, int]
"""The fewest and the most."""

_ENTRY_BYTES = 4 + 8  # a float32 scale and an int64 zero point


@dataclass(frozen=True)
class _Scheme:
    """Bytes of a weight, and beside them of each output channel."""

    weight_bytes: float
    channel_bytes: Bounds


# An int64 bias comes from a converter that may keep minima and maxima of the weights, too.
_SCHEMES: Mapping[str, _Scheme] = {
    "int8": _Scheme(1, (_ENTRY_BYTES + 4 + _ENTRY_BYTES,) * 2),
    "int16x8": _Scheme(1, (_ENTRY_BYTES + 8 + _ENTRY_BYTES, _ENTRY_BYTES + 16 + _ENTRY_BYTES)),
    "float16": _Scheme(2, (2, 2)),
    "dynamic-int8": _Scheme(1, (_ENTRY_BYTES + 4,) * 2),
    "weights-int4": _Scheme(0.5, (_ENTRY_BYTES + 4,) * 2),
}
_FILE_BYTES: Bounds = (300, 1_000)
_OP_WITH_WEIGHTS_BYTES: Bounds = (400, 650)
_OP_BYTES: Bounds = (190, 330)

# Ops of a layer beside those of its kernels.
_NO_OPS = ("BatchNormalization", "Dropout", "InputLayer", "ReLU")
_OPS_OF: Mapping[str, Bounds] = {"LayerNormalization": (7, 12), "MultiHeadAttention": (12, 24)}
_PLAIN_OPS: Bounds = (0, 1)
_OPS_OF_1D: Bounds = (0, 3)
_OPS_OF_UNKNOWN: Bounds = (0, 40)
_PLAIN = ("Conv", "Dense", "Depthwise", "Embedding", "Separable")
_ATTENTION = ("GroupQueryAttention", "MultiHeadAttention")
_KERNEL_DIMENSIONS = 3

_MOST_SPARSITY, _FEWEST_CLUSTERS = 0.95, 2


def dense_file_bytes(layers: Iterable[LayerFacts], profile: ExportProfile) -> Bounds:
    """The file of these layers, with its weights stored plainly."""
    scheme = _SCHEMES[profile.scheme]
    low, high = map(float, _FILE_BYTES)
    for layer in layers:
        kernels = _kernels(layer)
        weights = sum(map(math.prod, kernels)) * scheme.weight_bytes
        channels = sum(_channels(layer, shape) for shape in kernels)
        few, many = _ops(layer)
        low += weights + channels * scheme.channel_bytes[0]
        low += len(kernels) * _OP_WITH_WEIGHTS_BYTES[0] + few * _OP_BYTES[0]
        high += weights + channels * scheme.channel_bytes[1]
        high += len(kernels) * _OP_WITH_WEIGHTS_BYTES[1] + many * _OP_BYTES[1]
    return round(low), round(high)


def packed_savings_bytes(
    layers: Iterable[LayerFacts], stages: Iterable[Stage], profile: ExportProfile
) -> int:
    """At most so many bytes fewer, after these stages: 0 where the profile packs nothing.

    A weight that is not zero takes its bits, and where it lies a byte of its own (`sparse`); or
    the bits of its cluster's number, and a bit map of the zeros one bit a weight (`decode`).
    """
    techniques = [one for stage in stages for one in stage.techniques]
    sparsity = max((_sparsity(one) for one in techniques), default=0.0)
    clusters = min((_clusters(one) for one in techniques), default=math.inf)
    if not profile.encodings or not (sparsity or math.isfinite(clusters)):
        return 0
    bits = 8 * _SCHEMES[profile.scheme].weight_bytes
    numbers = min(bits, math.ceil(math.log2(clusters)) if math.isfinite(clusters) else bits)
    packed = {
        "sparse": (bits + 8) * (1 - sparsity),
        "lut": numbers,
        "decode": numbers * (1 - sparsity) + (1 if sparsity else 0),
    }
    fewest = min(packed[encoding] for encoding in profile.encodings)
    weights = sum(math.prod(shape) for layer in layers for shape in _kernels(layer))
    return round(weights * max(0.0, bits - fewest) / 8)


def _kernels(layer: LayerFacts) -> list[tuple[int, ...]]:
    """Shapes of what is quantized; the biases of an attention layer have two dimensions."""
    least = _KERNEL_DIMENSIONS if layer.class_name in _ATTENTION else 2
    return [shape for shape in layer.weights if len(shape) >= least]


def _channels(layer: LayerFacts, shape: tuple[int, ...]) -> int:
    """Output channels of a kernel."""
    name = layer.class_name
    if name in _ATTENTION:  # from and to all heads, or nearly
        return round(math.sqrt(math.prod(shape)))
    if name.endswith("Transpose"):
        return shape[-2]
    is_depthwise = name.startswith("Depthwise") or (
        name.startswith("Separable") and shape == layer.weights[0]
    )
    return shape[-1] * shape[-2] if is_depthwise else shape[-1]


def _ops(layer: LayerFacts) -> Bounds:
    name = layer.class_name
    if name.endswith(_NO_OPS):
        return 0, 0
    if name in _OPS_OF:
        return _OPS_OF[name]
    if "1D" in name:
        return _OPS_OF_1D
    if not layer.weights or name.startswith(_PLAIN):
        return _PLAIN_OPS
    few, many = _OPS_OF_UNKNOWN
    return few, many + 2 * len(layer.weights)


def _sparsity(technique: Any) -> float:
    """The share of zeros that a technique leaves at most."""
    if type(technique).__name__ != "Pruning":
        return 0.0
    asked = technique.sparsity
    if isinstance(asked, Mapping):
        return max((float(one) for one in asked.values()), default=0.0)
    if asked is not None:
        return float(asked)
    return 0.5 if technique.pattern is not None else _MOST_SPARSITY


def _clusters(technique: Any) -> float:
    """Different values of a kernel that a technique leaves at least."""
    if type(technique).__name__ != "Clustering":
        return math.inf
    asked = technique.clusters
    return min(asked.values(), default=math.inf) if isinstance(asked, Mapping) else asked
