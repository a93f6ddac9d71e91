"""A Keras session of its own for every test of the bridge: layer names start from nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def unchanged() -> Iterator[Callable[[Any], Any]]:
    """Watch a Keras 3 model: whatever a test does, its variables are bit-identical afterwards."""
    watched: list[tuple[Any, list[bytes]]] = []

    def watch(model: Any) -> Any:
        watched.append((model, contents(model)))
        return model

    yield watch
    for model, before in watched:
        assert contents(model) == before
        assert not model.losses or all(loss.shape == () for loss in model.losses)


def contents(model: Any) -> list[bytes]:
    return [np.asarray(variable).tobytes() for variable in model.variables]
