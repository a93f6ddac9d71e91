"""Nested models laid open: one flat graph, whose layers are called by their path."""

from __future__ import annotations

from typing import Any

from tfgreen.models.keras2_graph import Call, Replay, clone_from, clone_of, rebuilt
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
        is_mixed = layer.compute_dtype != layer.variable_dtype == "float32"
        copy = _in_float32(layer) if is_mixed else clone_of(layer)
        copy._name = f"{prefix}{layer.name}"
        if is_mixed:
            what = f"computes in float32 instead of {layer.compute_dtype}"
            changes.append(Change(copy.name, what, (copy.name,)))
        return copy

    return Replay(replacement, clone)


def _in_float32(layer: Any) -> Any:
    """A clone; what runs inside of it, of either Keras, computes in float32 too."""
    config = _with_float32(layer.get_config())
    return clone_from(layer, config)


def _with_float32(config: Any) -> Any:
    if isinstance(config, dict):
        return {
            key: "float32" if key == "dtype" and _is_mixed(value) else _with_float32(value)
            for key, value in config.items()
        }
    return list(map(_with_float32, config)) if isinstance(config, list) else config


def _is_mixed(policy: Any) -> bool:
    name = policy.get("config", {}).get("name") if isinstance(policy, dict) else policy
    return str(name).startswith("mixed_")
