"""Nested models laid open: one flat graph, whose layers are called by their path."""

from __future__ import annotations

from typing import Any

from tfgreen.models.keras2_graph import Call, Replay, clone_of, rebuilt
from tfgreen.models.qat_rewrites.changes import Change, Step


def flatten(model: Any) -> Step:
    """A copy without nested models, computing in float32.

    A layer `dense` of a nested model `encoder` is called "encoder/dense". Mixed precision goes:
    its weights are float32, and rounding to steps needs float32 arithmetic.
    """
    changes: list[Change] = []
    replay = _replay("", changes)
    return Step(rebuilt(model, replay), tuple(changes))


def _replay(prefix: str, changes: list[Change]) -> Replay:
    def replacement(layer: Any) -> Call | None:
        if not getattr(layer, "_is_graph_network", False):
            return None
        inner = _replay(f"{prefix}{layer.name}/", changes)

        def inlined(*args: Any, **kwargs: Any) -> Any:
            return inner.run(layer, args[0] if args else kwargs["inputs"])

        return inlined

    def clone(layer: Any) -> Any:
        copy = clone_of(layer)
        copy._name = f"{prefix}{layer.name}"
        if copy.compute_dtype != copy.variable_dtype and copy.variable_dtype == "float32":
            copy._set_dtype_policy("float32")
            what = f"computes in float32 instead of {layer.compute_dtype}"
            changes.append(Change(copy.name, what, (copy.name,)))
        return copy

    return Replay(replacement, clone)
