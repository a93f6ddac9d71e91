"""What pruning did, read off the model itself: layer by layer, with what is left to say."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfgreen.compression.pruning.state import PrunedLayer, PruningState
from tfgreen.compression.technique import LayerDecision, TechniqueReport
from tfgreen.errors import UsageError

_KEY = "_tfgreen_pruning_report"
_NEARLY_ALL = 0.99
NOT_FASTER = (
    "Zeros make a file smaller once it is compressed or stored sparsely. They do not make the "
    "kernels of TFLite's int8 files faster."
)


def report_of(state: PruningState, wrapped: Any) -> TechniqueReport:
    """The report on a wrapped model as it is now."""
    decisions = [*map(_decision, state.layers), *state.skipped]
    decisions.sort(key=lambda decision: state.order.index(decision.layer))
    notes = [_overall(state, wrapped), _progress(state), NOT_FASTER]
    return TechniqueReport("pruning", tuple(decisions), tuple(filter(None, notes)))


def remember_report(model: Any, report: TechniqueReport) -> None:
    """Keep the report on a finished model, untracked by Keras."""
    vars(model)[_KEY] = report


def pruning_report(model: Any) -> TechniqueReport:
    """What was pruned in a model that `tg.prune` or `Pruning.finalize` gave, and what was not.

    Raises:
        UsageError: the model comes from neither, or was saved and loaded in between.
    """
    report = getattr(model, "__dict__", {}).get(_KEY)
    if not isinstance(report, TechniqueReport):
        raise UsageError(
            f"This {type(model).__name__} has no report on pruning: it is kept on the model that "
            "tg.prune or Pruning.finalize returned, and lost when the model is saved."
        )
    return report


def _decision(layer: PrunedLayer) -> LayerDecision:
    measures = {"sparsity": layer.sparsity}
    if layer.target is not None:
        measures["target"] = layer.target
    threshold = layer.kernels[0].plan.threshold
    if threshold is not None:
        measures["threshold"] = threshold
    emptied = "next to nothing is left of it" if measures["sparsity"] > _NEARLY_ALL else ""
    reason = "; ".join(filter(None, (layer.reason, emptied)))
    return LayerDecision(layer.path, layer.kind, "pruned", reason, measures)


def _overall(state: PruningState, wrapped: Any) -> str:
    arrays = [kernel.values() for kernel in state.kernels()]
    zeros = sum(array.size - int(np.count_nonzero(array)) for array in arrays)
    size = sum(array.size for array in arrays)
    counted = {id(variables) for layer in state.layers for variables in _bookkeeping(layer)}
    total = sum(
        int(np.prod(weight.shape)) for weight in wrapped.weights if id(weight) not in counted
    )
    return (
        f"{zeros:,} of {size:,} weights in pruned kernels are zero (sparsity {zeros / size:.4g}); "
        f"the model has {total:,} weights in all."
    )


def _bookkeeping(layer: PrunedLayer) -> list[Any]:
    masks = [x for _, mask, threshold in layer.wrapper.pruning_vars for x in (mask, threshold)]
    return [*masks, layer.wrapper.pruning_step]


def _progress(state: PruningState) -> str:
    if state.span is None:
        return "" if state.steps_done else "Not trained yet."
    span = state.span
    every = "step" if span.frequency == 1 else f"{span.frequency} steps"
    return (
        f"Masks are updated every {every} from step {span.begin_step} to step {span.end_step}; "
        f"{state.steps_done} steps of training are done."
    )
