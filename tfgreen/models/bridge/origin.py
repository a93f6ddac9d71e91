"""What a twin remembers of the crossing.

It lies in the twin's `__dict__`, inside a plain object: what is set as an attribute of a tf_keras
model is tracked, and a tracked Keras 3 model would double the weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_KEY = "_tfgreen_bridge"


@dataclass
class Crossing:
    """The memory of one twin.

    original: the Keras 3 model that it was made of; None for a copy of a tf_keras model.
    compile_arguments: what the model was compiled with, in the caller's own objects; None where
        the twin was compiled without the bridge.
    """

    original: Any | None = None
    compile_arguments: dict[str, Any] | None = field(default=None)


def crossing_of(twin: Any) -> Crossing | None:
    """What this very object remembers, if it came over the bridge."""
    return vars(twin).get(_KEY)


def remember(twin: Any, crossing: Crossing) -> None:
    """Let a twin, or a model that was made of one, remember the crossing."""
    vars(twin)[_KEY] = crossing


def origin_of(twin: Any) -> Any | None:
    """The Keras 3 model that a twin was made of.

    None for models that never were one: a tf_keras model, or one wrapped without the bridge.
    """
    crossing = crossing_of(twin)
    return crossing.original if crossing else None
