"""What is to be pruned in a model, how much of each kernel, and why the rest is left alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfgreen.compression.kernels import Kernel, kernels_of, reason_without_kernels
from tfgreen.compression.pruning.masks import absolute_threshold, kept_from
from tfgreen.compression.selection import PlacedLayer, assigned, placed_layers, selected
from tfgreen.compression.technique import LayerDecision
from tfgreen.errors import UnsupportedModelError, UsageError

if TYPE_CHECKING:
    from tfgreen.compression.pruning.pruning import Pruning

_DEPTHWISE = "depthwise kernels are small and matter much: name the layer to prune it"
_MATRIX_DIMENSIONS = 2
_PATTERN_DIMENSIONS = (2, 4)


@dataclass(frozen=True)
class KernelPlan:
    """How one kernel is to be pruned.

    target: its sparsity in the end (0 to 1); None where a pattern or a ranking decides.
    threshold: the |w| below which weights go; None where the sparsity was given.
    """

    kernel: Kernel
    target: float | None
    threshold: float | None = None


@dataclass(frozen=True)
class LayerPlan:
    """The kernels of a layer that are to be pruned; reason: what else is to say about it."""

    placed: PlacedLayer
    kernels: tuple[KernelPlan, ...]
    reason: str = ""


def plan_of(
    technique: Pruning, model: Any
) -> tuple[tuple[LayerPlan, ...], tuple[LayerDecision, ...]]:
    """The layers of a tf_keras model that are to be pruned, and those that are not.

    Raises:
        UsageError: a selector names no layer, or one that cannot be pruned as asked.
        UnsupportedModelError: nothing in the model can be pruned as asked.
    """
    layers = placed_layers(model)
    values = values_by_layer(technique.amount, technique.skip, layers)
    plans: list[LayerPlan] = []
    skipped: list[LayerDecision] = []
    for placed in layers:
        value, is_named, reason = values[placed.path]
        kernels, why_not = _prunable(technique, placed, is_named) if not reason else ((), reason)
        if kernels:
            plans.append(_plan(technique, placed, kernels, value))
            continue
        if is_named:
            raise UsageError(f"Layer '{placed.path}' ({placed.kind}) cannot be pruned: {why_not}.")
        skipped.append(LayerDecision(placed.path, placed.kind, "skipped", why_not))
    if not plans:
        reasons = sorted({decision.reason for decision in skipped})
        raise UnsupportedModelError(f"No layer of the model can be pruned: {'; '.join(reasons)}.")
    return tuple(plans), tuple(skipped)


def values_by_layer(
    amount: float | Mapping[Any, float] | None, skip: Sequence[Any], layers: Sequence[PlacedLayer]
) -> dict[str, tuple[float | None, bool, str]]:
    """For each layer its sparsity or threshold, whether it was named, and why it is left out."""
    left_out = selected(skip, layers)
    given: Mapping[str, tuple[float | None, bool]]
    if isinstance(amount, Mapping):
        given = assigned(amount, layers)
    else:
        given = {placed.path: (amount, False) for placed in layers}
    values: dict[str, tuple[float | None, bool, str]] = {}
    for placed in layers:
        if placed.path in left_out:
            values[placed.path] = (None, False, "named in skip")
        elif placed.path not in given:
            reason = "no target given" if kernels_of(placed.layer) else ""
            values[placed.path] = (None, False, reason)
        elif given[placed.path][0] == 0:
            values[placed.path] = (None, False, "nothing is to be pruned")
        else:
            values[placed.path] = (*given[placed.path], "")
    return values


def _prunable(
    technique: Pruning, placed: PlacedLayer, is_named: bool
) -> tuple[tuple[Kernel, ...], str]:
    """The kernels to prune; if there are none, the reason."""
    kernels = kernels_of(placed.layer)
    if not kernels:
        return (), reason_without_kernels(placed.layer)
    if technique.threshold is None and not is_named:
        kernels = tuple(kernel for kernel in kernels if not kernel.is_depthwise)
        if not kernels:
            return (), _DEPTHWISE
    ranks = {len(kernel.variable.shape) for kernel in kernels}
    if technique.pattern is not None and not ranks <= set(_PATTERN_DIMENSIONS):
        return (), f"{technique.pattern} needs kernels of 2 or 4 dimensions"
    return (
        (kernels, "") if not (why_not := _unfit_for_blocks(technique, kernels)) else ((), why_not)
    )


def _unfit_for_blocks(technique: Pruning, kernels: Sequence[Kernel]) -> str:
    """Why these kernels cannot be pruned by blocks; empty if they can, or need not."""
    block = technique.block_size
    if block == (1, 1):
        return ""
    for kernel in kernels:
        shape = tuple(kernel.variable.shape)
        if len(shape) != _MATRIX_DIMENSIONS:
            return "blocks need kernels of 2 dimensions"
        # TensorFlow Model Optimization fails on them in the first step of training.
        if any(size <= length for size, length in zip(shape, block, strict=True)):
            return (
                f"its kernel of {shape[0]} x {shape[1]} is no more than one block of "
                f"{block[0]} x {block[1]} high or wide"
            )
    return ""


def _plan(
    technique: Pruning, placed: PlacedLayer, kernels: tuple[Kernel, ...], value: float | None
) -> LayerPlan:
    left = len(kernels_of(placed.layer)) - len(kernels)
    reason = "its depthwise kernel is left alone" if left else ""
    if technique.threshold is None:
        target = None if technique.scope == "global" else value
        return LayerPlan(placed, tuple(KernelPlan(kernel, target) for kernel in kernels), reason)
    arrays = [kernel.values() for kernel in kernels]
    threshold = absolute_threshold(value or 0.0, technique.threshold_unit, arrays)
    shares = [1 - float(np.mean(kept_from(array, threshold))) for array in arrays]
    for array, share in zip(arrays, shares, strict=True):
        if share == 1:
            raise UsageError(
                f"The threshold {threshold:.4g} leaves a kernel of layer '{placed.path}' no "
                f"weight (its largest |w| is {np.abs(array).max():.4g}): give a smaller one, or "
                "name the layer in skip."
            )
    plans = (
        KernelPlan(kernel, share, threshold) for kernel, share in zip(kernels, shares, strict=True)
    )
    return LayerPlan(placed, tuple(plans), reason)
