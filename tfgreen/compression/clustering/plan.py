"""Which layers of a model are to be clustered, into how many values, and why others are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tfgreen.compression.clustering.wrapper import clusterable_weights
from tfgreen.compression.kernels import kernels_of, reason_without_kernels
from tfgreen.compression.selection import (
    PlacedLayer,
    assigned,
    check_selectors,
    placed_layers,
    selected,
)
from tfgreen.compression.technique import LayerDecision
from tfgreen.errors import UnsupportedModelError, UsageError

if TYPE_CHECKING:
    from tfgreen.compression.clustering.clustering import Clustering

Init = Literal["linear", "kmeans++", "density", "random"]
INITS = ("linear", "kmeans++", "density", "random")

_FEWEST, _FEWEST_WITH_ZERO = 2, 3


@dataclass(frozen=True)
class LayerPlan:
    """A layer that is to be clustered.

    clusters: the number of different values that each of its kernels may have.
    init: where the centroids begin: the technique's own, or "linear" where a kernel has too few
        different weights for it.
    """

    placed: PlacedLayer
    clusters: int
    init: Init
    reason: str = ""


def check_clusters(clusters: Any, preserve_sparsity: bool) -> None:
    """Refuse what is no number of clusters, or numbers by layer.

    Raises:
        UsageError: it says from which number on they are accepted.
    """
    fewest = _FEWEST_WITH_ZERO if preserve_sparsity else _FEWEST
    if isinstance(clusters, Mapping):
        if not clusters:
            raise UsageError("clusters received an empty mapping; expected layers and numbers.")
        check_selectors(clusters, "clusters")
    for value in clusters.values() if isinstance(clusters, Mapping) else [clusters]:
        if isinstance(value, bool) or not isinstance(value, int) or value < fewest:
            hint = " (one of them is zero)" if preserve_sparsity else ""
            raise UsageError(
                f"clusters received {value!r}; expected a whole number from {fewest} on{hint}."
            )


def plan_of(
    technique: Clustering, model: Any
) -> tuple[tuple[LayerPlan, ...], tuple[LayerDecision, ...]]:
    """The layers of a tf_keras model that are to be clustered, and those that are not.

    Raises:
        UsageError: a selector names no layer, or one that cannot be clustered.
        UnsupportedModelError: nothing in the model can be clustered.
    """
    layers = placed_layers(model)
    numbers, left_out = _numbers(technique, layers), selected(technique.skip, layers)
    plans: list[LayerPlan] = []
    skipped: list[LayerDecision] = []
    for placed in layers:
        number, is_named = numbers.get(placed.path, (0, False))
        reason = _reason_against(placed, number, placed.path in left_out)
        if not reason:
            plans.append(_plan(placed, number, technique))
            continue
        if is_named and placed.path not in left_out:
            raise UsageError(f"Layer '{placed.path}' ({placed.kind}) cannot be clustered: {reason}")
        skipped.append(LayerDecision(placed.path, placed.kind, "skipped", reason.rstrip(".")))
    if not plans:
        reasons = "; ".join(sorted({decision.reason for decision in skipped}))
        raise UnsupportedModelError(f"No layer of the model can be clustered: {reasons}.")
    return tuple(plans), tuple(skipped)


def _numbers(technique: Clustering, layers: Sequence[PlacedLayer]) -> dict[str, tuple[int, bool]]:
    """For each layer that is asked for its number of clusters, and whether it was named."""
    clusters = technique.clusters
    if isinstance(clusters, Mapping):
        return assigned(clusters, layers)
    if technique.layers is not None:
        return assigned(dict.fromkeys(technique.layers, clusters), layers)
    return {placed.path: (clusters, False) for placed in layers}


def _reason_against(placed: PlacedLayer, number: int, is_left_out: bool) -> str:
    """Why a layer is not clustered; nothing if it is."""
    kernels = kernels_of(placed.layer)
    if is_left_out:
        return "named in skip."
    if not kernels:
        return f"{reason_without_kernels(placed.layer)}."
    if number == 0:
        return "not among the layers asked for."
    weights = clusterable_weights(placed.layer)
    if weights is None:
        return f"TensorFlow Model Optimization has no clustering for {placed.kind}."
    if not weights:
        return "depthwise kernels are small and matter much."
    largest = max(int(np.prod(weight.shape)) for weight in weights.values())
    if largest <= number:
        return f"its {largest} weights are no more than {number} clusters."
    return ""


def _plan(placed: PlacedLayer, number: int, technique: Clustering) -> LayerPlan:
    weights = (clusterable_weights(placed.layer) or {}).values()
    distinct = min(_distinct(weight.numpy(), technique.preserve_sparsity) for weight in weights)
    left = len(kernels_of(placed.layer)) - len(weights)
    reason = "its depthwise kernel is left alone" if left else ""
    if distinct < number and technique.init == "kmeans++":
        return LayerPlan(
            placed, number, "linear", f"centroids begin evenly spaced: {distinct} different weights"
        )
    return LayerPlan(placed, number, technique.init, reason)


def _distinct(weights: np.ndarray, without_zero: bool) -> int:
    different = np.unique(weights)
    return int(np.count_nonzero(different) if without_zero else different.size)
