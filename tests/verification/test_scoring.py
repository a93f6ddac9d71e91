"""Scores sample by sample, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tiny_models import float_add, float_classifier
from tfgreen.data import Samples
from tfgreen.errors import InvalidDataError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.intervals import wilson
from tfgreen.verification.scoring import Scoring, difference

CLASSIFIER = TfliteModel.from_bytes(float_classifier())
ADDER = TfliteModel.from_bytes(float_add())
SCORES = np.array([[0.1, 0.7, 0.1, 0.1], [0.6, 0.2, 0.1, 0.1], [0.0, 0.0, 0.1, 0.9]], np.float32)


def samples(**labels: np.ndarray) -> Samples:
    return Samples({"x": np.zeros((3, 16), np.float32)}, labels)


@pytest.mark.parametrize("labels", [np.array([1, 1, 3]), np.eye(4)[[1, 1, 3]]])
def test_accuracy(labels: np.ndarray) -> None:
    scoring = Scoring.of(CLASSIFIER, samples(y=labels), (SCORES,))
    assert scoring is not None
    assert (scoring.kind, scoring.output) == ("accuracy", "scores")
    found = scoring.scores(SCORES)
    assert found.tolist() == [1, 0, 1]
    estimate = scoring.estimate(found)
    assert (estimate.low, estimate.high) == wilson(2, 3)
    assert estimate.value == pytest.approx(2 / 3)


def test_without_labels_it_is_agreement_with_the_float_file() -> None:
    scoring = Scoring.of(CLASSIFIER, samples(), (SCORES,))
    assert scoring is not None
    assert scoring.kind == "agreement"
    assert scoring.scores(SCORES).tolist() == [1, 1, 1]
    assert scoring.scores(SCORES[[0, 2, 2]]).tolist() == [1, 0, 1]


def test_float_labels_are_an_absolute_error() -> None:
    given = Samples({"a": np.zeros((2, 4)), "b": np.zeros((2, 4))}, {"sum": np.full((2, 4), 2.0)})
    scoring = Scoring.of(ADDER, given, (np.zeros((2, 4)),))
    assert scoring is not None
    assert scoring.kind == "mean-absolute-error"
    answers = np.array([[2.0, 2.0, 2.0, 4.0], [1.0, 3.0, 1.0, 3.0]], np.float32)
    assert scoring.scores(answers).tolist() == [0.5, 1.0]
    assert scoring.estimate(scoring.scores(answers)).value == 0.75


def test_nothing_to_score() -> None:
    given = Samples({"a": np.zeros((2, 4)), "b": np.zeros((2, 4))})
    assert Scoring.of(ADDER, given, (np.zeros((2, 4)),)) is None


def test_labels_that_are_no_classes_are_refused() -> None:
    with pytest.raises(InvalidDataError, match="Expected class numbers from 0 to 3"):
        Scoring.of(CLASSIFIER, samples(y=np.array([1, 2, 9])), (SCORES,))


def test_the_difference_is_sample_by_sample() -> None:
    apart = difference(np.array([1.0, 0.0, 1.0, 1.0]), np.array([1.0, 1.0, 1.0, 1.0]))
    assert apart.value == -0.25
    assert apart.low <= -0.25 <= apart.high == 0.0
