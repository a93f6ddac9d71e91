"""Read calibration and evaluation data from whatever holds them, into one type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfgreen.data.archives import read_npy, read_npz
from tfgreen.data.images import read_image_folder
from tfgreen.data.matching import match
from tfgreen.data.parts import Parts, parts_of, split_keys
from tfgreen.data.samples import Samples
from tfgreen.data.streams import call, read_batches
from tfgreen.errors import InvalidDataError, MissingPathError, UsageError
from tfgreen.signature import InputSpec
from tfgreen.user_code import import_function, names_a_function

_EXPECTED = (
    "an .npz or .npy file, a folder of images, 'module:function', arrays, a pair (x, y), a dict "
    "of arrays, a tf.data dataset or any iterable of batches"
)


@dataclass(frozen=True)
class _Wanted:
    """What `read_samples` was asked for; `first` is the limit of batches."""

    inputs: Sequence[InputSpec] | None
    outputs: Sequence[str]
    limit: int | None
    first: int | None


def read_samples(
    source: Any,
    *,
    inputs: Sequence[InputSpec] | None = None,
    outputs: Sequence[str] = (),
    limit: int | None = None,
    to_the_end: bool = False,
) -> Samples:
    """Samples from a path, a function, arrays or batches, matched to `inputs` if given.

    source: path of an .npz or .npy file or of an image folder (a Path or text);
        "module:function" or a function without arguments that returns any of the others; an
        array; a dict of arrays; a pair (x, y); Samples; a tf.data dataset or any iterable of
        batches x, (x, y) or dicts. Inputs are told by name, labels by `y` or `y_<output>`.
    inputs: what the model takes; without it names, shapes and dtypes stay as they are.
    outputs: the model's output names, to check labels against.
    limit: most samples to keep: of arrays, archives and folders evenly spaced ones (data are
        often sorted by class), of batches the first ones. None keeps all.
    to_the_end: read all batches, and keep evenly spaced samples of them too.

    Raises MissingPathError, UsageError for a source of no known kind or a limit below 1, and
    InvalidDataError for anything wrong with the data. Nothing is ever unpickled.

    >>> import numpy as np
    >>> samples = read_samples((np.ones((4, 2), "float32"), [0, 1, 1, 0]), limit=2)
    >>> len(samples), list(samples.inputs), samples.labels["y"]
    (2, ['x'], array([0, 0]))
    """
    if limit is not None and limit < 1:
        raise UsageError(f"Received limit={limit}; expected at least 1 sample, or None for all.")
    wanted = _Wanted(inputs, outputs, limit, None if to_the_end else limit)
    samples = source if isinstance(source, Samples) else _read(source, wanted)
    if len(samples) == 0:
        raise InvalidDataError(f"{samples.source} holds no samples; expected at least one.")
    if samples.labels and outputs:
        samples.labels_for(outputs)
    if limit is not None:
        samples = samples.spread(limit)
    return match(samples, inputs) if inputs is not None else samples


def _read(source: Any, wanted: _Wanted, described: str | None = None) -> Samples:
    if isinstance(source, str) and names_a_function(source) and not Path(source).exists():
        return _called(import_function(source), source, wanted)
    if isinstance(source, str | Path):
        return _from_path(Path(source), wanted)
    if callable(source) and not hasattr(source, "__iter__"):
        name = getattr(source, "__name__", "the function")
        return _called(source, name, wanted)
    described = described or _kind(source)
    if isinstance(source, Mapping | tuple) or hasattr(source, "__array__"):
        return _samples(parts_of(source, described, wanted.inputs, wanted.outputs), described)
    if isinstance(source, Iterable) or hasattr(source, "__getitem__"):
        first = wanted.first
        parts = read_batches(source, described, wanted.inputs, wanted.outputs, first)
        note = f" (the first {first} samples at most)" if first is not None else ""
        return _samples(parts, described + note)
    raise UsageError(f"Received data of type {type(source).__name__}; expected {_EXPECTED}.")


def _called(function: Callable[[], Any], name: str, wanted: _Wanted) -> Samples:
    value = call(function, name)
    if isinstance(value, Samples):
        return value
    if callable(value) and not hasattr(value, "__iter__"):
        raise InvalidDataError(f"{name} returned a function; expected {_EXPECTED}.")
    return _read(value, wanted, described=name)


def _from_path(path: Path, wanted: _Wanted) -> Samples:
    if path.is_dir():
        parts, described = read_image_folder(path, wanted.inputs, wanted.limit)
        return _samples(parts, described)
    if not path.exists():
        raise MissingPathError(f"There is no data file {path}. Expected {_EXPECTED}.")
    if path.suffix.lower() == ".npz":
        parts = split_keys(read_npz(path), str(path), wanted.inputs, wanted.outputs)
        return _samples(parts, str(path))
    if path.suffix.lower() == ".npy":
        return _samples(Parts({"x": read_npy(path)}), str(path))
    raise InvalidDataError(
        f"{path} is of no known kind (suffix '{path.suffix}'); expected {_EXPECTED}."
    )


def _samples(parts: Parts, described: str) -> Samples:
    return Samples(parts.inputs, parts.labels, described, parts.label_names)


def _kind(source: Any) -> str:
    """What to call an object in messages and in the record."""
    if isinstance(source, tuple):
        return "the pair (x, y)"
    if isinstance(source, Mapping):
        return "the dict of arrays"
    return f"the {type(source).__name__}"
