"""Answers by class, held against scikit-learn's confusion matrices."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from tfgreen.verification.answer_changes import MOST_CHANGES, answer_changes


@pytest.mark.parametrize("one_hot", [False, True])
def test_counts_equal_the_confusion_matrices(one_hot: bool) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 5, 300)
    floats = np.eye(6)[labels] + random.normal(0, 0.5, (300, 6))
    ours = floats + random.normal(0, 0.3, (300, 6))
    found = answer_changes("word", floats, ours, np.eye(6)[labels] if one_hot else labels)
    theirs, picked = floats.argmax(-1), ours.argmax(-1)
    before = confusion_matrix(labels, theirs, labels=range(6))
    after = confusion_matrix(labels, picked, labels=range(6))
    assert [score.label for score in found.scores] == list(range(5)), "no sample is of class 5"
    for score in found.scores:
        assert score.samples == before[score.label].sum()
        assert score.float_right == before[score.label, score.label]
        assert score.file_right == after[score.label, score.label]
        assert score.gained == score.file_right - score.float_right
    assert found.changed_samples == int((theirs != picked).sum()) > 0
    assert sum(change.samples for change in found.changes) == found.changed_samples
    counts = [change.samples for change in found.changes]
    assert counts == sorted(counts, reverse=True)
    moved = np.zeros((6, 6), int)
    for change in found.changes:
        moved[change.label, change.float_answer] -= change.samples
        moved[change.label, change.answer] += change.samples
    np.testing.assert_array_equal(after - before, moved)


def test_a_yes_or_no_and_answers_at_every_position() -> None:
    found = answer_changes(
        "wake", np.array([[0.9], [0.2]]), np.array([[0.4], [0.2]]), np.array([1, 0])
    )
    assert [(one.label, one.gained) for one in found.scores] == [(0, 0), (1, -1)]
    maps = np.eye(3)[np.array([[0, 1], [2, 2]])]
    found = answer_changes("map", maps, maps, np.array([[0, 1], [2, 0]]))
    assert (found.samples, found.changed_samples, found.changes) == (4, 0, ())


def test_very_many_kinds_are_counted_and_not_all_listed() -> None:
    labels = np.arange(500)
    found = answer_changes("id", np.eye(500), np.roll(np.eye(500), 1, axis=0), labels)
    assert found.changed_samples == 500
    assert len(found.changes) == MOST_CHANGES
