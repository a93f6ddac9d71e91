"""What `tg.fit` hands to Keras for the data that it was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfgreen.errors import InvalidDataError
from tfgreen.training.order import ordered_batches

_MOST_PARTS = 3
_TUPLES = "(x, y) or (x, y, weights)"


@dataclass(frozen=True)
class Feed:
    """Arguments of `fit`, and some batches to try out, if they can be had without using any up.

    trial: a function that gives a tf.data.Dataset which repeats, or None.
    """

    arguments: Mapping[str, Any]
    trial: Any
    steps: int | None


def feed_of(data: Any, batch_size: int, seed: int | None, first_epoch: int) -> Feed:
    """The data as `fit` takes them.

    data: (x, y) or (x, y, sample weights) of arrays, or of dicts and lists of them, or x alone, an
        array or a dict; anything else goes to Keras as it is. Arrays with a seed come in the order
        of `epoch_order`.

    Raises InvalidDataError for arrays of different lengths, and for what holds no samples.
    """
    if data is None or isinstance(data, list):
        what = "None" if data is None else f"a list of {len(data)}"
        raise InvalidDataError(f"The training data is {what}; expected a tuple, as {_TUPLES}.")
    if hasattr(data, "__array__") or isinstance(data, Mapping):
        data = (data,)
    if not isinstance(data, tuple):
        return Feed({"x": data, **_unshuffled(data)}, _repeated(data), _length(data))
    data = data[:-1] if len(data) == _MOST_PARTS and data[-1] is None else data
    if not 0 < len(data) <= _MOST_PARTS or any(part is None for part in data):
        raise InvalidDataError(
            f"The training data is a tuple of {len(data)}, or has a None; expected {_TUPLES}."
        )
    steps = -(-_count(data) // batch_size)

    def trial() -> Any:
        return ordered_batches(data, batch_size, seed or 0)

    if seed is not None:
        batches = ordered_batches(data, batch_size, seed, first_epoch)
        return Feed({"x": batches, "shuffle": False, "steps_per_epoch": steps}, trial, steps)
    names = ("x", "y", "sample_weight")
    arguments = dict(zip(names, data, strict=False)) | {"batch_size": batch_size}
    return Feed(arguments, trial, steps)


def _count(data: tuple[Any, ...]) -> int:
    counts = {len(array) for array in _arrays(data)}
    if len(counts) != 1 or counts == {0}:
        raise InvalidDataError(
            f"The training data has arrays of {', '.join(map(str, sorted(counts))) or 'no'} "
            "samples; expected the same number of each, at least 1."
        )
    return counts.pop()


def _arrays(part: Any) -> list[Any]:
    if isinstance(part, Mapping):
        return [array for one in part.values() for array in _arrays(one)]
    if isinstance(part, tuple | list) and not np.isscalar(part[0] if part else 0):
        return [array for one in part for array in _arrays(one)]
    return [part]


def _repeated(data: Any) -> Any:
    """Batches again and again of a tf.data.Dataset; None for what may be used up."""
    return data.repeat if hasattr(data, "element_spec") else None


def _unshuffled(data: Any) -> dict[str, Any]:
    """Datasets and generators come as they come; Keras warns where it is asked to shuffle them."""
    return {} if hasattr(data, "__getitem__") else {"shuffle": False}


def _length(data: Any) -> int | None:
    """How many batches there are; None for a dataset that does not know, or has no end."""
    try:
        return len(data)
    except TypeError:
        return None
