"""Samples out of things that give batches: tf.data datasets, generators, functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tfgreen.data.parts import Parts, parts_of
from tfgreen.errors import InvalidDataError, TfgreenError
from tfgreen.signature import InputSpec

# Beyond these an iterable is taken for endless unless a limit says where to stop.
MOST_SAMPLES = 100_000
MOST_BYTES = 4 * 1024**3


def read_batches(
    batches: Any,
    source: str,
    inputs: Sequence[InputSpec] | None = None,
    outputs: Sequence[str] = (),
    limit: int | None = None,
) -> Parts:
    """Join batches (x, (x, y) or dicts, first dimension = samples) up to `limit` samples.

    Raises InvalidDataError when batches differ in keys or shapes, when the iteration fails, and
    when there is no limit and no end in sight.
    """
    if limit is None and _is_endless(batches):
        raise _too_many(source, "an endless dataset")
    joined: dict[tuple[str, str], list[np.ndarray]] = {}
    label_names: tuple[str, ...] | None = None
    count = size_bytes = 0
    for batch in _guarded(batches, source):
        parts = parts_of(batch, source, inputs, outputs)
        label_names = parts.label_names or label_names
        keyed = {("input", name): array for name, array in parts.inputs.items()}
        keyed |= {("label", name): array for name, array in parts.labels.items()}
        count += _append(joined, keyed, source)
        size_bytes += sum(array.nbytes for array in keyed.values())
        if limit is not None and count >= limit:
            break
        if limit is None and (count > MOST_SAMPLES or size_bytes > MOST_BYTES):
            raise _too_many(source, f"more than {count:,} samples ({size_bytes:,} bytes)")
    if not joined:
        raise InvalidDataError(f"{source} gave no batch; expected at least one. Is it used up?")
    whole = {key: np.concatenate(arrays)[:limit] for key, arrays in joined.items()}
    return Parts(
        {name: array for (kind, name), array in whole.items() if kind == "input"},
        {name: array for (kind, name), array in whole.items() if kind == "label"},
        label_names,
    )


def call(function: Callable[[], Any], source: str) -> Any:
    """What a function without arguments returns. Its failure becomes InvalidDataError."""
    try:
        return function()
    except TfgreenError:
        raise
    except (Exception, SystemExit) as error:  # whatever a user's function raises
        raise _failed(source, error) from error


def _guarded(batches: Any, source: str) -> Iterator[Any]:
    """Iterate; anything with a length and an index is read by index and never used up."""
    try:
        if hasattr(batches, "__len__") and hasattr(batches, "__getitem__"):
            iterator: Iterable[Any] = (batches[row] for row in range(len(batches)))
        else:
            iterator = iter(batches)
        yield from iterator
    except (TfgreenError, GeneratorExit):
        raise
    except Exception as error:  # whatever a user's generator raises
        raise _failed(source, error) from error


def _append(
    joined: dict[tuple[str, str], list[np.ndarray]],
    keyed: dict[tuple[str, str], np.ndarray],
    source: str,
) -> int:
    """Add one batch; returns how many samples it has."""
    if joined and set(joined) != set(keyed):
        raise InvalidDataError(
            f"The batches of {source} differ: one gives {_names(joined)}, a later one "
            f"{_names(keyed)}. Give the same arrays in each."
        )
    for key, array in keyed.items():
        if array.ndim == 0:
            raise InvalidDataError(
                f"'{key[1]}' in {source} gives single values; expected batches whose first "
                "dimension counts the samples. Batch them first, as dataset.batch(32)."
            )
        arrays = joined.setdefault(key, [])
        if arrays and arrays[0].shape[1:] != array.shape[1:]:
            raise InvalidDataError(
                f"The batches of {source} differ in the shape of '{key[1]}': "
                f"{arrays[0].shape[1:]}, then {array.shape[1:]} (without the batch). Give "
                "samples of one shape."
            )
        arrays.append(array.copy())  # some generators fill one buffer again and again
    return len(next(iter(keyed.values())))


def _names(keys: Iterable[tuple[str, str]]) -> str:
    return ", ".join(sorted(f"{kind} '{name}'" for kind, name in keys))


def _is_endless(batches: Any) -> bool:
    """Whether a tf.data dataset says so itself: its cardinality is -1 then."""
    cardinality = getattr(batches, "cardinality", None)
    return callable(cardinality) and int(cardinality()) == -1


def _too_many(source: str, what: str) -> InvalidDataError:
    return InvalidDataError(
        f"{source} gives {what}, and nothing says where to stop. Give a finite part, as "
        "dataset.take(20)."
    )


def _failed(source: str, error: BaseException) -> InvalidDataError:
    text = (str(error).splitlines() or [""])[0]
    return InvalidDataError(f"{source} failed with {type(error).__name__}: {text}")
