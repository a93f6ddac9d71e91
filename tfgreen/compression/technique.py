"""One lifecycle for every technique that compresses in training.

    wrapped = technique.prepare(model)      # a tf_keras model, compiled as the model went in
    wrapped.fit(x, y, epochs=3)             # adds technique.callbacks() where they are missing
    smaller = technique.finalize(wrapped)   # Keras 3 again where that is possible
    print(technique.report(wrapped))        # what was done, what was skipped, and why

A technique is a frozen dataclass that is validated when it is built. What it knows of one model
lives on the wrapped model, so one technique serves many models. Techniques stack: the second one
prepares what the first one gave, and they are finalized in reverse order. Whoever makes a new
model out of a wrapped one hands the earlier techniques' state on with `hand_on_state`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol

from tfgreen.compression.tables import markdown_table
from tfgreen.errors import UsageError

Action = Literal["pruned", "clustered", "quantized", "distilled", "rewritten", "sliced", "skipped"]

NO_WEIGHTS = "no weights"
"""The reason to skip a layer that has none; `str()` of a report lists such layers in one line."""

_KEY = "_tfgreen_techniques"
_FINISHED = "_tfgreen_is_finished"


@dataclass(frozen=True)
class LayerDecision:
    """What was done to one layer, and why.

    layer: its name; layers of nested models with the path, as "encoder/dense".
    kind: its class name.
    measures: figures by name, with the unit in the name: {"sparsity": 0.8, "clusters": 16}.
    """

    layer: str
    kind: str
    action: Action
    reason: str = ""
    measures: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def to_facts(self) -> dict[str, Any]:
        """The same as plain values, ready for JSON."""
        return {
            "layer": self.layer,
            "kind": self.kind,
            "action": self.action,
            "reason": self.reason,
            "measures": {name: float(value) for name, value in self.measures.items()},
        }


@dataclass(frozen=True)
class TechniqueReport:
    """What a technique did with one model, layer by layer; `str()` is a Markdown table.

    Layers without weights are one line below the table.

    >>> decision = LayerDecision("head", "Dense", "skipped", "named in skip")
    >>> print(TechniqueReport("pruning", (decision,), ("2 layers have no kernels",)))
    pruning
    <BLANKLINE>
    | layer | kind  | action  | measures | reason        |
    |-------|-------|---------|----------|---------------|
    | head  | Dense | skipped |          | named in skip |
    <BLANKLINE>
    - 2 layers have no kernels
    """

    technique: str
    layers: tuple[LayerDecision, ...]
    notes: tuple[str, ...] = ()

    def of(self, layer: str) -> LayerDecision:
        """The decision on the layer of this name.

        Raises:
            UsageError: there is none.
        """
        for decision in self.layers:
            if decision.layer == layer:
                return decision
        known = ", ".join(decision.layer for decision in self.layers)
        raise UsageError(f"The report knows no layer '{layer}'. It has: {known}.")

    def with_action(self, action: Action) -> tuple[LayerDecision, ...]:
        """The decisions of one kind."""
        return tuple(decision for decision in self.layers if decision.action == action)

    def to_facts(self) -> dict[str, Any]:
        """The same as plain values, ready for JSON."""
        return {
            "technique": self.technique,
            "layers": [decision.to_facts() for decision in self.layers],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        rows = [
            (
                decision.layer,
                decision.kind,
                decision.action,
                ", ".join(f"{name} {value:.4g}" for name, value in decision.measures.items()),
                decision.reason,
            )
            for decision in self.layers
            if decision.reason != NO_WEIGHTS
        ]
        table = markdown_table(["layer", "kind", "action", "measures", "reason"], rows)
        notes = [f"- {note}" for note in (*self.notes, *self._without_weights())]
        return "\n\n".join(part for part in (self.technique, table, "\n".join(notes)) if part)

    def _without_weights(self) -> list[str]:
        names = [one.layer for one in self.layers if one.reason == NO_WEIGHTS]
        return [f"{len(names)} without weights: {', '.join(names)}"] if names else []


class Technique(Protocol):
    """One way to compress a model while it is trained."""

    def prepare(self, model: Any, calibration: Any | None = None) -> Any:
        """Wrap a copy of the model for training; the caller's model stays as it is.

        model: a built Keras 3 or tf_keras model, Sequential or functional, or what another
            technique prepared. calibration: samples, for techniques that take ranges from data.
        """
        ...

    def callbacks(self) -> list[Any]:
        """New tf_keras callbacks for one `fit`; `fit` adds them itself where they are missing."""
        ...

    def finalize(self, wrapped: Any) -> Any:
        """The compressed model without what training needed; raises UsageError if not prepared."""
        ...

    def report(self, wrapped: Any) -> TechniqueReport:
        """What was done to this wrapped model; raises UsageError if it was not prepared."""
        ...


@dataclass(frozen=True)
class TakenOver:
    """The state of a technique that was finalized when a later one took the model over.

    Its `finalize` gives the model as it is, so that a list is prepared in its order and finalized
    in reverse.
    """

    report: TechniqueReport


def take_over(wrapped: Any) -> tuple[Any, tuple[tuple[Technique, TakenOver], ...]]:
    """Finalize all techniques on a model, the last one first; the model, and what was done."""
    techniques = techniques_of(wrapped)
    states = tuple((one, TakenOver(one.report(wrapped))) for one in techniques)
    for technique in reversed(techniques):
        wrapped = technique.finalize(wrapped)
    return wrapped, states


def attach_state(wrapped: Any, technique: object, state: Any) -> None:
    """Keep what a technique knows of a wrapped model on that model, untracked by Keras."""
    wrapped.__dict__.setdefault(_KEY, {})[type(technique).__name__] = (technique, state)


def state_of(wrapped: Any, technique: object) -> Any:
    """What this technique attached to the model.

    Raises:
        UsageError: this technique did not prepare the model.
    """
    if not is_prepared_by(wrapped, technique):
        name = type(technique).__name__
        raise UsageError(
            f"This {type(wrapped).__name__} was not prepared by this {name}: call "
            f"wrapped = technique.prepare(model), train `wrapped`, and hand over `wrapped`."
        )
    return wrapped.__dict__[_KEY][type(technique).__name__][1]


def is_prepared_by(candidate: Any, technique: object) -> bool:
    """Whether this technique attached its state to this very object."""
    states = getattr(candidate, "__dict__", {}).get(_KEY, {})
    return type(technique).__name__ in states and states[type(technique).__name__][0] == technique


def techniques_of(wrapped: Any) -> tuple[Any, ...]:
    """The techniques that prepared the model, in the order in which they did."""
    states = getattr(wrapped, "__dict__", {}).get(_KEY, {})
    return tuple(technique for technique, _ in states.values())


def mark_finished(model: Any) -> None:
    """Note that a model with a technique's state on it is to be exported, and not trained."""
    model.__dict__[_FINISHED] = True


def is_finished(model: Any) -> bool:
    """Whether `mark_finished` was called with it."""
    return bool(getattr(model, "__dict__", {}).get(_FINISHED, False))


def hand_on_state(source: Any, target: Any, *, but: object | None = None) -> None:
    """Give a model that was made out of `source` the state of the techniques on it.

    but: a technique whose state stays behind, since it has just been finalized.
    """
    kept = {
        name: entry
        for name, entry in source.__dict__.get(_KEY, {}).items()
        if but is None or name != type(but).__name__
    }
    if kept:
        target.__dict__[_KEY] = {**kept, **target.__dict__.get(_KEY, {})}
