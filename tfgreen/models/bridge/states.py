"""The states of stateful recurrent layers, which neither flavour counts among its weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np


def states_of(model: Any) -> dict[str, list[Any]]:
    """The state variables of each stateful layer of a model of either flavour, by layer name."""
    found: dict[str, list[Any]] = {}
    for layer in model._flatten_layers(include_self=False, recursive=True):
        states = getattr(layer, "states", None) if getattr(layer, "stateful", False) else None
        variables = [part for part in keras.tree.flatten(states) if hasattr(part, "assign")]
        if variables:
            found[layer.name] = variables
    return found


@contextmanager
def state_kept(*models: Any) -> Iterator[None]:
    """Put back what calls in inference change.

    The first model is of Keras 3; the states of its twins start from its own, and end there.
    """
    first, *twins = models
    states = states_of(first)
    variables = [*first.non_trainable_variables, *(v for part in states.values() for v in part)]
    before = [(variable, np.array(variable)) for variable in variables]
    for twin in twins:
        copy_states(states, twin)
    try:
        yield
    finally:
        first._clear_losses()
        for variable, value in before:
            if value.tobytes() != np.array(variable).tobytes():
                variable.assign(value)
        for twin in twins:
            copy_states(states, twin)


def copy_states(states: dict[str, list[Any]], model: Any) -> None:
    """Put states, as `states_of` gives them, into the layers of the same names."""
    for name, variables in states_of(model).items():
        for source, target in zip(states.get(name, []), variables, strict=False):
            target.assign(np.asarray(source))
