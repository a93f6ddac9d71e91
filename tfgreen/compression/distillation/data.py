"""Training data with the teachers' stored lessons beside them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tfgreen.compression.distillation.bench import Bench, flat_lessons, packed
from tfgreen.compression.distillation.forward import flat
from tfgreen.compression.distillation.teacher_cache import (
    DATA_CHANGE,
    Entry,
    digests_of,
    sha256_of_samples,
)
from tfgreen.errors import UsageError

_BATCH = 64
_FIRST = 8
_CHECKED_BATCHES = 16

Arguments = dict[str, Any]


def show_to_techniques(student: Any, given: Arguments) -> None:
    """A technique that waits for the first samples of the student's `fit` sees them here."""
    from tfgreen.compression.first_samples import show_waiting

    if "x" in given:
        given["x"] = show_waiting(student, given["x"])


def confirm_on_first_samples(bench: Bench, x: Any) -> None:
    """Check models without a graph, of which compile could not think up any input."""
    import keras
    import tensorflow as tf

    from tfgreen.compression.distillation.setup import confirm

    if bench.is_confirmed or not bench.plans:
        return
    if isinstance(x, tf.data.Dataset):
        element = next(iter(x), None)
        first = element[0] if isinstance(element, tuple) else element
    else:
        first = x if _are_arrays(x) else None
    if first is not None:
        few = keras.tree.map_structure(lambda part: tf.convert_to_tensor(part[:_FIRST]), first)
        confirm(bench, bench.plans, few)


def cached_arguments(bench: Bench, given: Arguments) -> tuple[Arguments, Callable[[int], None]]:
    """The arguments of `fit` with lessons in them, and what to call with the epochs it had.

    Raises:
        UsageError: data that cannot be cached, with the reason.
    """
    if bench.cache is None:
        return given, lambda epochs: None
    given = dict(given)
    entries = []
    given["x"], entry, is_new = _with_lessons(bench, given.get("x"))
    entries.append((entry, is_new))
    if given.get("validation_data") is not None:
        data = given["validation_data"]
        parts = data if isinstance(data, tuple | list) else (data,)
        x, entry, is_new = _with_lessons(bench, parts[0])
        entries.append((entry, is_new))
        given["validation_data"] = (x, *parts[1:]) if data is not parts[0] else x

    def count(epochs: int) -> None:
        for entry, is_new in entries:
            saved = entry.seconds * max(epochs - is_new, 0)
            bench.seconds["saved"] = bench.seconds.get("saved", 0.0) + saved
            bench.seconds["asked"] = bench.seconds.get("asked", 0.0) + entry.seconds * is_new

    return given, count


def _with_lessons(bench: Bench, x: Any) -> tuple[Any, Entry, bool]:
    import tensorflow as tf

    if isinstance(x, tf.data.Dataset):
        return _dataset(bench, x)
    arrays = [np.asarray(part) for part in flat(x)] if _are_arrays(x) else []
    if not arrays:
        raise UsageError(
            f"The cache received data of the kind {type(x).__name__}, which nobody can go through "
            "again to see whether they stay the same: give arrays or a tf.data.Dataset, or leave "
            "cache out."
        )
    digests = digests_of(arrays)

    def batches() -> Iterator[tuple[Any, list[bytes]]]:
        import keras

        for start in range(0, len(digests), _BATCH):
            part = slice(start, start + _BATCH)
            values = [tf.convert_to_tensor(_as_keras_would(array[part])) for array in arrays]
            yield keras.tree.pack_sequence_as(x, values), digests[part]

    entry, is_new = _entry(bench, digests, batches())
    rows = entry.rows_of(digests)
    return packed(x, tuple(array[rows] for array in entry.arrays)), entry, is_new


def _dataset(bench: Bench, data: Any) -> tuple[Any, Entry, bool]:
    import tensorflow as tf

    if int(data.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise UsageError(
            "The cache received a dataset without an end (repeat()): leave repeat() out, so that "
            "one pass holds every sample once, or leave cache out."
        )

    def batches() -> Iterator[tuple[Any, list[bytes]]]:
        for element in data:
            x = element[0] if isinstance(element, tuple) else element
            yield x, digests_of([part.numpy() for part in flat(x)])

    digests = [digest for _, part in batches() for digest in part]
    known = set(digests)
    for number, (_, part) in enumerate(batches()):
        if not known.issuperset(part):
            raise UsageError(DATA_CHANGE)
        if number + 1 == _CHECKED_BATCHES:
            break
    entry, is_new = _entry(bench, digests, batches())
    return _mapped(data, entry), entry, is_new


def _mapped(data: Any, entry: Entry) -> Any:
    """The dataset with the lessons of each batch; looked up by the samples' bytes."""
    import tensorflow as tf

    types = [tf.as_dtype(array.dtype) for array in entry.arrays]

    def look_up(*inputs: Any) -> list[np.ndarray]:
        rows = entry.rows_of(digests_of(inputs))
        return [array[rows] for array in entry.arrays]

    def with_lessons(*element: Any) -> Any:
        x, *rest = element
        lessons = tf.numpy_function(look_up, list(flat(x)), types)
        for lesson, array in zip(lessons, entry.arrays, strict=True):
            lesson.set_shape((flat(x)[0].shape[0], *array.shape[1:]))
        both = packed(x, tuple(lessons))
        return (both, *rest) if rest else both

    return data.map(with_lessons, num_parallel_calls=1).prefetch(2)


def _entry(
    bench: Bench, digests: list[bytes], batches: Iterable[tuple[Any, list[bytes]]]
) -> tuple[Entry, bool]:
    """The entry of the cache, made now where there is none."""
    teachers, data = _sha256_of_teachers(bench), sha256_of_samples(digests)
    entry = bench.cache.read(teachers, data)
    if entry is not None:
        return entry, False
    order = sorted(set(digests))
    rows = {digest: row for row, digest in enumerate(order)}
    arrays, seconds = _asked(bench, rows, batches)
    return bench.cache.write(teachers, data, order, arrays, seconds), True


def _asked(
    bench: Bench, rows: Mapping[bytes, int], batches: Iterable[tuple[Any, list[bytes]]]
) -> tuple[list[np.ndarray], float]:
    """The lessons, and the seconds of asking for them; making the graph does not count."""
    import tensorflow as tf

    ask = tf.function(lambda x: flat_lessons(bench.lessons(x)), reduce_retracing=True)
    arrays: list[np.ndarray] = []
    seen: set[bytes] = set()
    seconds = 0.0
    for x, digests in batches:
        if not arrays:
            ask(x)
        began = time.perf_counter()
        lessons = [np.asarray(part, np.float32) for part in ask(x)]
        seconds += time.perf_counter() - began
        if not arrays:
            arrays = [np.zeros((len(rows), *part.shape[1:]), np.float32) for part in lessons]
        if not rows.keys() >= set(digests):
            raise UsageError(DATA_CHANGE)
        for array, part in zip(arrays, lessons, strict=True):
            array[[rows[digest] for digest in digests]] = part
        seen.update(digests)
    if len(seen) < len(rows):
        raise UsageError(DATA_CHANGE)
    return arrays, seconds


def _sha256_of_teachers(bench: Bench) -> str:
    parts = [teacher.sha256() for teacher in bench.teachers]
    parts += [f"{plan.kind} {plan.teacher_forms}" for plan in bench.plans]
    parts += [f"order {teacher.order}" for teacher in bench.teachers if teacher.order]
    parts += list(bench.features.values())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _are_arrays(x: Any) -> bool:
    if x is None or callable(getattr(x, "__next__", None)):
        return False
    parts = flat(x)
    return bool(parts) and all(hasattr(part, "shape") and part.shape for part in parts)


def _as_keras_would(array: np.ndarray) -> np.ndarray:
    """Keras trains on float32."""
    return array.astype(np.float32) if array.dtype == np.float64 else array
