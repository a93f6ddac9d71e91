"""Classes, agreement, accuracy and error from small known arrays."""

from __future__ import annotations

import numpy as np
import pytest

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.errors import InvalidDataError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.verification import metrics

SCORES = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.9, 0.1, 0.0]])


def test_accuracy_with_class_numbers_and_one_hot() -> None:
    labels = np.array([1, 0, 2, 1])
    assert metrics.accuracy(SCORES, labels) == 3 / 4
    assert metrics.accuracy(SCORES, labels[:, np.newaxis]) == 3 / 4
    assert metrics.accuracy(SCORES, np.eye(3)[labels]) == 3 / 4


def test_accuracy_of_a_single_score() -> None:
    assert metrics.accuracy(np.array([[0.9], [0.2], [0.6]]), np.array([1, 0, 0])) == 2 / 3
    assert metrics.accuracy(np.array([[0.9], [0.2]]), np.array([[1.0], [0.0]])) == 1.0


def test_accuracy_of_every_pixel() -> None:
    scores = np.stack([SCORES[:2], SCORES[2:]])  # (2 samples, 2 pixels, 3 classes)
    assert metrics.accuracy(scores, np.array([[1, 0], [2, 2]])) == 3 / 4


def test_agreement() -> None:
    assert metrics.agreement(SCORES, SCORES[::-1]) == 0.0  # classes 1, 0, 2, 0 and 0, 2, 0, 1
    assert metrics.agreement(SCORES, SCORES) == 1.0


def test_mean_absolute_error() -> None:
    values = np.array([[1.0, 2.0], [3.0, 5.0]], np.float32)
    assert metrics.mean_absolute_error(values, np.array([[1.5, 2.0], [3.0, 4.0]])) == 1.5 / 4


def test_batches_become_samples() -> None:
    array = np.arange(12).reshape(3, 2, 2)
    assert metrics.per_sample(array, 2).tolist() == np.arange(12).reshape(6, 2).tolist()
    assert metrics.per_sample(np.arange(3), 1).shape == (3,)


def ends_with(op: str) -> TfliteModel:
    tensors = [TensorSpec(name, (1, 4), "float32") for name in ("x", "y", "z")]
    ops = [OpSpec(op, ["x"], ["y"]), OpSpec("RESHAPE", ["y"], ["z"])]
    return TfliteModel.from_bytes(build(tensors, ops, ["x"], ["z"]))


@pytest.mark.parametrize(
    ("op", "labels", "expected"),
    [
        ("SOFTMAX", None, True),
        ("LOGISTIC", None, True),
        ("RELU", None, False),
        ("RELU", np.array([0, 3]), True),
        ("RELU", np.array([0.0, 3.0], np.float32), True),
        ("RELU", np.eye(4)[:2], True),
        ("RELU", np.ones((2, 4)), False),
        ("SOFTMAX", np.full((2, 4), 0.25), False),
    ],
)
def test_what_is_a_classification(op: str, labels: np.ndarray | None, expected: bool) -> None:
    assert metrics.is_classification(ends_with(op), 0, labels) is expected


def test_labels_that_fit_nothing_are_refused() -> None:
    metrics.check_labels(np.array([0, 3]), "y", (1, 4))
    metrics.check_labels(np.zeros((2, 4), np.float32), "y", (1, 4))
    with pytest.raises(InvalidDataError, match=r"reach from 0 to 4; .* \(1, 4\).* from 0 to 3"):
        metrics.check_labels(np.array([0, 4]), "y", (1, 4))
    with pytest.raises(InvalidDataError, match=r"\(2, 3\)"):
        metrics.check_labels(np.zeros((2, 3)), "y", (1, 4))


@pytest.mark.parametrize(
    ("labels", "expected"), [([0, 1], True), ([0.0, 1.0], True), ([0, 2], False), ([0.5], False)]
)
def test_a_single_score(labels: list[float], expected: bool) -> None:
    tensors = [TensorSpec(name, (1, 1), "float32") for name in ("x", "y")]
    content = build(tensors, [OpSpec("RELU", ["x"], ["y"])], ["x"], ["y"])
    model = TfliteModel.from_bytes(content)
    assert metrics.is_classification(model, 0, np.array(labels)) is expected


def test_the_classifier_of_other_tests_is_one() -> None:
    model = TfliteModel.from_bytes(tiny_models.int8_classifier())
    assert metrics.is_classification(model, 0, None)
