"""Arrays as a pipeline whose every epoch has its own order, known from the seed alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfgreen.data import Samples
from tfgreen.errors import InvalidDataError
from tfgreen.training.order import ordered_batches

_INFINITE = -1
"""What `tf.data` calls the cardinality of a dataset without an end."""


@dataclass(frozen=True)
class TrainingData:
    """What a stage is trained and judged on while it runs.

    samples: None where `pipeline` is used as it is.
    pipeline: a `tf.data.Dataset` or another iterable of batches (x, y) that `fit` takes.
    validation: samples, or what `fit` takes; None for none.
    """

    samples: Samples | None
    pipeline: Any = None
    validation: Any = None


def is_pipeline(source: Any) -> bool:
    """Whether training data are batches that nobody but their owner can put in order."""
    if isinstance(source, str | Samples | Mapping | tuple) or hasattr(source, "__fspath__"):
        return False
    return not hasattr(source, "__array__") and not callable(source)


def refuse_unfit(source: Any) -> None:
    """Raise InvalidDataError for a pipeline of which `fit` could not make epochs.

    A generator is used up by the first look at it, one that repeats forever has no epoch, and
    `fit` takes a list for one batch.
    """
    if isinstance(source, list):
        raise InvalidDataError(
            f"Training received a list of {len(source)}; expected arrays (x, y), a file of them, "
            "or a tf.data.Dataset of batches."
        )
    if hasattr(source, "__next__"):
        raise InvalidDataError(
            f"Training received a {type(source).__name__}, which can be gone through only once; "
            "expected batches that each epoch begins anew: a tf.data.Dataset "
            "(tf.data.Dataset.from_generator)."
        )
    if callable(getattr(source, "cardinality", None)) and int(source.cardinality()) == _INFINITE:
        raise InvalidDataError(
            "Training received a dataset that repeats forever; expected one epoch of it: leave "
            "repeat() out, or end it with take(batches)."
        )


def is_unlabelled(pipeline: Any) -> bool:
    """Whether the batches of a pipeline are known to hold inputs alone."""
    spec = getattr(pipeline, "element_spec", None)
    return spec is not None and not (isinstance(spec, tuple) and len(spec) > 1)


def epochs_of(
    samples: Samples, outputs: Sequence[str], *, batch_size: int, seed: int, first: int, epochs: int
) -> tuple[Any, int]:
    """One dataset over the epochs from `first` to the last of `epochs`, and the steps of each.

    The order of an epoch depends on the seed and its number alone.
    """
    steps = -(-len(samples) // batch_size)
    data = ordered_batches(_arrays(samples, outputs), batch_size, seed, first)
    return data.take(steps * (epochs - first)), steps


def batches_of(samples: Samples, outputs: Sequence[str], batch_size: int) -> Any:
    """A dataset of samples in their own order."""
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(_arrays(samples, outputs)).batch(batch_size)


def _arrays(samples: Samples, outputs: Sequence[str]) -> Any:
    """(x,) or (x, y) as a model of these outputs takes them: bare arrays where there is one."""
    labels = samples.labels_for(outputs)
    missing = [name for name in outputs if name not in labels]
    if labels and missing:
        raise InvalidDataError(
            f"{samples.source} has no labels for the output '{missing[0]}'. Add them as "
            f"y_{missing[0]}."
        )
    x = _sole(dict(samples.inputs))
    return (x, _sole({name: labels[name] for name in outputs})) if labels else (x,)


def _sole(values: dict[str, np.ndarray]) -> Any:
    return next(iter(values.values())) if len(values) == 1 else values
