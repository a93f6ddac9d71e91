"""What the outputs are worth: classes, agreement, accuracy, error."""

from __future__ import annotations

import math

import numpy as np

from tfgreen.errors import InvalidDataError
from tfgreen.flatbuffer import TfliteModel

_CLASSIFIERS = frozenset({"SOFTMAX", "LOG_SOFTMAX", "LOGISTIC"})
_PASSED_THROUGH = frozenset({"QUANTIZE", "DEQUANTIZE", "RESHAPE"})


def per_sample(array: np.ndarray, batch: int) -> np.ndarray:
    """(calls, batch, ...) as (samples, ...); an output without the batch counts calls."""
    if array.ndim > 1 and array.shape[1] == batch:
        return array.reshape(-1, *array.shape[2:])
    return array


def is_classification(model: TfliteModel, position: int, labels: np.ndarray | None) -> bool:
    """Whether an output holds one score per class.

    It does when a softmax or logistic function ends it, or when its labels are class numbers.
    """
    output = model.outputs[position]
    shape = model.tensors[output].shape
    if labels is not None:
        return _are_classes(labels, shape)
    op = model.producer(output)
    while op is not None and op.name in _PASSED_THROUGH:
        op = model.producer(op.inputs[0])
    return op is not None and op.name in _CLASSIFIERS


def classes(scores: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """The class of each sample: the highest score's, or of a single score whether it is over.

    Args:
        scores: (samples, ..., class count) real numbers.

    >>> classes(np.array([[0.1, 0.9], [0.8, 0.2]])), classes(np.array([[0.7], [0.2]]))
    (array([1, 0]), array([1, 0]))
    """
    if scores.ndim < 2:
        return np.asarray(scores > threshold).astype(np.int64)
    if scores.shape[-1] == 1:
        return np.asarray(scores[..., 0] > threshold).astype(np.int64)
    return np.argmax(scores, axis=-1)


def agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Share of samples with the same class (of all positions, where a sample has several).

    Args:
        first, second: Scores of the same samples, (samples, ..., class count).
    """
    return float(np.mean(classes(first) == classes(second)))


def accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Share of right classes.

    Args:
        scores: (samples, ..., class count).
        labels: Class numbers (samples, ...), or one-hot in the shape of `scores`.

    >>> accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    0.5
    """
    picked = classes(scores)
    if labels.shape == scores.shape and scores.shape[-1] > 1:
        labels = np.argmax(labels, axis=-1)
    return float(np.mean(picked == labels.reshape(picked.shape)))


def mean_absolute_error(values: np.ndarray, labels: np.ndarray) -> float:
    """Mean distance between outputs and float labels of the same number of values.

    >>> mean_absolute_error(np.array([[1.0], [2.0]]), np.array([1.5, 2.0]))
    0.25
    """
    return float(np.mean(np.abs(values.astype(np.float64) - labels.reshape(values.shape))))


def check_labels(labels: np.ndarray, name: str, shape: tuple[int, ...]) -> None:
    """Refuse labels that are neither classes nor as many numbers as an output holds.

    Args:
        labels: (samples, ...). shape: of the output, its first dimension the batch.

    Raises:
        InvalidDataError: with the shapes received and expected.
    """
    values = math.prod(labels.shape[1:])
    if values == math.prod(shape[1:]) or _are_classes(labels, shape):
        return
    raise InvalidDataError(
        f"The labels of '{name}' have the shape {labels.shape} and reach from {labels.min()} to "
        f"{labels.max()}; the output has the shape {shape}. Expected class numbers from 0 to "
        f"{shape[-1] - 1}, or as many numbers as the output holds."
    )


def _are_classes(labels: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Class numbers, one per score vector; one-hot vectors; or 0 and 1 for a single score."""
    class_count = shape[-1] if len(shape) > 1 else 1
    if class_count > 1 and labels.shape[1:] == shape[1:]:
        return bool(np.isin(labels, (0, 1)).all() and (labels.sum(axis=-1) == 1).all())
    if math.prod(labels.shape[1:]) * class_count != math.prod(shape[1:]):
        return False
    return bool(np.isin(labels, np.arange(max(class_count, 2))).all())
