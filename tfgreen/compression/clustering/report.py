"""What clustering did, read off the model itself: layer by layer, with what is left to say."""

from __future__ import annotations

import numpy as np

from tfgreen.compression.clustering.wrapping import ClusteredLayer, ClusteringState
from tfgreen.compression.technique import LayerDecision, TechniqueReport

NOT_FASTER = (
    "Few different values make a file smaller once it is compressed or its weights are stored as "
    "a table and indices. They do not make any kernel faster."
)


def report_of(state: ClusteringState) -> TechniqueReport:
    """The report on a wrapped model as it is now."""
    clustered = tuple(_decision(layer) for layer in state.layers)
    weights = sum(int(decision.measures["weights"]) for decision in clustered)
    notes = (f"{weights:,} weights are clustered.", NOT_FASTER)
    return TechniqueReport("clustering", (*clustered, *state.skipped), notes)


def _decision(layer: ClusteredLayer) -> LayerDecision:
    kernels = layer.kernels()
    size = sum(kernel.size for kernel in kernels)
    measures = {
        "clusters": float(max(np.unique(kernel).size for kernel in kernels)),
        "weights": float(size),
        "sparsity": 1 - sum(int(np.count_nonzero(kernel)) for kernel in kernels) / size,
    }
    placed = layer.plan.placed
    return LayerDecision(placed.path, placed.kind, "clustered", layer.plan.reason, measures)
