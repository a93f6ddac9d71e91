"""The first samples of what `fit` is given, for techniques that need data before training."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]

_WAITING = "_tfgreen_waits_for_samples"


def show_first_samples(wrapped: Any, look: Callable[[Arrays], None], samples: int) -> None:
    """Let `look` see the first samples of the next `fit` of a tf_keras model, once.

    look: takes arrays of at most `samples` samples by name of the input. Of arrays they are
    spread evenly (data are often sorted by class), of batches they are the first ones.
    """
    plain = type(wrapped)
    vars(wrapped)[_WAITING] = [(look, samples)]

    def fit(self: Any, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        if self is wrapped:
            x = show_waiting(self, x)
        return plain.fit(self, x, *args, **kwargs)  # type: ignore[attr-defined]

    members = {"fit": fit, "__module__": plain.__module__, "__doc__": plain.__doc__}
    wrapped.__class__ = type(plain.__name__, (plain,), members)


def show_waiting(wrapped: Any, x: Any) -> Any:
    """Show the first samples of x to what waits for them; what to train on in the place of x.

    For a model that trains the wrapped one inside it, whose own `fit` nobody calls.
    """
    waiting = vars(wrapped).get(_WAITING)
    if waiting:
        look, samples = waiting.pop()
        inputs, x = _first(x, wrapped.input_names, samples)
        look(inputs)
    return x


def _first(x: Any, names: list[str], samples: int) -> tuple[Arrays, Any]:
    """Inputs by name, and what `fit` is to be given in the place of x."""
    if isinstance(x, Mapping | list | tuple) or hasattr(x, "__array__"):
        return _spread(_by_name(x, names), samples), x
    if hasattr(x, "__getitem__") and hasattr(x, "__len__"):  # batches by number
        return _joined((x[index] for index in range(len(x))), names, samples), x
    if hasattr(x, "__next__"):
        seen: list[Any] = []
        inputs = _joined(_noted(x, seen), names, samples)
        return inputs, itertools.chain(seen, x)
    return _joined(iter(x), names, samples), x


def _noted(batches: Iterator[Any], seen: list[Any]) -> Iterator[Any]:
    for batch in batches:
        seen.append(batch)
        yield batch


def _joined(batches: Iterator[Any], names: list[str], samples: int) -> Arrays:
    parts: list[Arrays] = []
    count = 0
    for batch in batches:
        inputs = batch[0] if isinstance(batch, tuple) else batch
        parts.append(_by_name(inputs, names))
        count += len(next(iter(parts[-1].values())))
        if count >= samples:
            break
    return {name: np.concatenate([part[name] for part in parts])[:samples] for name in names}


def _by_name(x: Any, names: list[str]) -> Arrays:
    if isinstance(x, Mapping):
        known = {name: x[name] for name in names if name in x}
        values = list(known.values()) if len(known) == len(names) else list(x.values())
    elif isinstance(x, list | tuple) and len(names) > 1:
        values = list(x)
    else:
        values = [x[0] if isinstance(x, list | tuple) and len(x) == 1 else x]
    return {name: np.asarray(value) for name, value in zip(names, values, strict=True)}


def _spread(inputs: Arrays, samples: int) -> Arrays:
    count = len(next(iter(inputs.values())))
    if count <= samples:
        return inputs
    chosen = np.linspace(0, count - 1, samples).astype(np.int64)
    return {name: array[chosen] for name, array in inputs.items()}
