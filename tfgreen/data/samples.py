"""Samples: named input arrays, with labels where there are any, as every room passes them on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tfgreen.errors import InvalidDataError

_NUMBERS = "biuf"


@dataclass(frozen=True, eq=False)
class Samples:
    """n samples: one array per input, all with n rows, and the labels that came with them.

    inputs: input name (or "x" before a model has named it) -> (n, *shape), dtype as given.
    labels: output name, or "y" for a sole output -> (n, ...), numbers.
    source: where they came from, for people. label_names: class names by class number.

    Raises InvalidDataError when the arrays differ in length or hold anything but numbers.

    >>> samples = Samples({"x": np.zeros((3, 4), "float32")}, {"y": np.array([0, 1, 1])})
    >>> len(samples), len(samples.head(2)), samples.take([0, 2]).labels["y"]
    (3, 2, array([0, 1]))
    """

    inputs: Mapping[str, np.ndarray]
    labels: Mapping[str, np.ndarray] = field(default_factory=dict)
    source: str = "arrays"
    label_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not self.inputs:
            raise InvalidDataError(f"{self.source} holds no input array.")
        for name, array in (*self.inputs.items(), *self.labels.items()):
            _check_numbers(self.source, name, array)
        lengths = {name: len(array) for name, array in (*self.inputs.items(), *self.labels.items())}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"'{name}' has {length}" for name, length in lengths.items())
            raise InvalidDataError(
                f"The arrays of {self.source} differ in their number of samples: {told}. "
                "Give every input and label the same number of rows."
            )

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def take(self, indices: Sequence[int] | np.ndarray) -> Samples:
        """The samples at these indices, in this order."""
        rows = np.asarray(indices, dtype=np.intp)
        return replace(
            self,
            inputs={name: array[rows] for name, array in self.inputs.items()},
            labels={name: array[rows] for name, array in self.labels.items()},
        )

    def head(self, count: int) -> Samples:
        """The first `count` samples, or all if there are fewer."""
        return self.take(np.arange(min(count, len(self))))

    def spread(self, count: int) -> Samples:
        """Take `count` evenly spaced samples, so that data sorted by class keep all classes.

        The first and the last are among them; all samples if there are no more than `count`.
        """
        if len(self) <= count:
            return self
        rows = np.round(np.linspace(0, len(self) - 1, count)).astype(np.intp)
        source = f"{self.source} ({count} of {len(self)} samples, evenly spaced)"
        return replace(self.take(rows), source=source)

    def labels_for(self, outputs: Sequence[str]) -> dict[str, np.ndarray]:
        """Labels by output name: "y" belongs to a sole output, other keys name theirs.

        Outputs without labels are left out. Raises InvalidDataError for a label of no output.
        """
        labels = dict(self.labels)
        if "y" in labels and "y" not in outputs and len(outputs) == 1:
            labels[outputs[0]] = labels.pop("y")
        unknown = sorted(set(labels) - set(outputs))
        if unknown:
            expected = ", ".join(f"y_{name}" for name in outputs)
            raise InvalidDataError(
                f"{self.source} labels '{unknown[0]}', which is no output of the model. "
                f"Name the labels {expected}{' (or y)' if len(outputs) == 1 else ''}."
            )
        return labels

    def sha256(self) -> str:
        """Hash of names, dtypes, shapes and values, in hex; independent of order and source."""
        digest = hashlib.sha256()
        for kind, arrays in (("input", self.inputs), ("label", self.labels)):
            for name in sorted(arrays):
                array = arrays[name]
                little = array.dtype.newbyteorder("<")
                head = repr((kind, name, little.str, array.shape))
                digest.update(f"{len(head)}:{head}".encode())
                digest.update(np.ascontiguousarray(array, dtype=little).data)
        return digest.hexdigest()


def _check_numbers(source: str, name: str, array: np.ndarray) -> None:
    if array.ndim == 0:
        raise InvalidDataError(
            f"'{name}' in {source} is a single value. Expected an array whose first dimension "
            "counts the samples."
        )
    if array.dtype.kind not in _NUMBERS:
        what = "text" if array.dtype.kind in "US" else f"dtype {array.dtype}"
        raise InvalidDataError(
            f"'{name}' in {source} holds {what}; expected numbers. Encode text first: labels as "
            "class numbers in y, their names in the key 'labels'."
        )
