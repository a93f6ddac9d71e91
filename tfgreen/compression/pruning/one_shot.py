"""Pruning in one shot, without training: w where |w| >= threshold, else 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfgreen.compression.copies import copy_of
from tfgreen.compression.kernels import kernels_of, reason_without_kernels
from tfgreen.compression.plain_options import as_tuple, plain
from tfgreen.compression.pruning.masks import (
    ThresholdUnit,
    absolute_threshold,
    kept_from,
    zero_share,
)
from tfgreen.compression.pruning.options import check_threshold
from tfgreen.compression.pruning.plan import values_by_layer
from tfgreen.compression.pruning.report import NOT_FASTER, remember_report
from tfgreen.compression.selection import (
    PlacedLayer,
    Selector,
    Shares,
    check_selectors,
    placed_layers,
)
from tfgreen.compression.technique import LayerDecision, TechniqueReport
from tfgreen.errors import UsageError


def prune(
    model: Any,
    threshold: float | Shares,
    *,
    threshold_unit: ThresholdUnit = "absolute",
    skip: tuple[Selector, ...] | Selector = (),
) -> Any:
    """A copy of a model whose kernels are `w * (|w| >= threshold)`, bit for bit.

    Biases, normalization and slopes are exempt; `tg.pruning_report` of the result says so, layer
    by layer. Use it where there is no data to train with; where there is, `tg.Pruning` loses less.

    Args:
        model: a built Keras 3 or tf_keras model, Sequential or functional. It stays as it is, and
            the copy is of the same Keras, compiled alike.
        threshold: a number, or numbers by layer: {"dense_1": 1e-2, "Conv2D": 1e-3}. A name goes
            before a class, a class before an expression; layers that are not in it stay as they
            are. It is compared in the weights' own precision.
        threshold_unit: "absolute"; "quantile", a share (0 to below 1) of the layer's |w|;
            "standard-deviation", a multiple of that of the layer's weights.
        skip: layers to leave alone, by name, class or expression.

    Raises:
        UsageError: a threshold that is none, or a name that no layer has.
        UnsupportedModelError: a subclassed or unbuilt model.
    """
    if threshold is None:
        raise UsageError("threshold received None; expected a number, or numbers by layer.")
    threshold = plain(threshold)
    check_threshold(threshold, threshold_unit)
    left_out = as_tuple(skip)
    check_selectors(left_out, "skip")
    copy = copy_of(model)
    layers = placed_layers(copy)
    values = values_by_layer(threshold, left_out, layers)
    decisions = tuple(_pruned(placed, *values[placed.path], threshold_unit) for placed in layers)
    remember_report(copy, TechniqueReport("pruning in one shot", decisions, _notes(decisions)))
    return copy


def _pruned(
    placed: PlacedLayer, threshold: float | None, is_named: bool, reason: str, unit: ThresholdUnit
) -> LayerDecision:
    kernels = kernels_of(placed.layer)
    why_not = reason or ("" if kernels else reason_without_kernels(placed.layer))
    if why_not or threshold is None:
        if is_named:
            raise UsageError(f"Layer '{placed.path}' ({placed.kind}) cannot be pruned: {why_not}.")
        return LayerDecision(placed.path, placed.kind, "skipped", why_not)
    arrays = [kernel.values() for kernel in kernels]
    limit = absolute_threshold(threshold, unit, arrays)
    # The product, and not a choice: a removed negative weight is -0.0.
    pruned = [array * kept_from(array, limit) for array in arrays]
    for kernel, array in zip(kernels, pruned, strict=True):
        kernel.variable.assign(array)
    measures = {"sparsity": zero_share(pruned), "threshold": limit}
    measures["weights"] = float(sum(np.size(array) for array in pruned))
    reason = "no weight is left" if measures["sparsity"] == 1 else ""
    return LayerDecision(placed.path, placed.kind, "pruned", reason, measures)


def _notes(decisions: tuple[LayerDecision, ...]) -> tuple[str, ...]:
    pruned = [decision.measures for decision in decisions if decision.action == "pruned"]
    total = sum(measures["weights"] for measures in pruned)
    zeros = sum(measures["weights"] * measures["sparsity"] for measures in pruned)
    overall = (
        f"{zeros:,.0f} of {total:,.0f} kernel weights are zero (sparsity {zeros / total:.4g})."
        if total
        else "No layer has a kernel to prune."
    )
    return overall, "Biases and normalization are exempt.", NOT_FASTER
