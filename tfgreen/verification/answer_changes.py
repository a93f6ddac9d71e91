"""Which classes win and lose: the answers of the file beside those of the float model."""

from __future__ import annotations

from collections import Counter

import numpy as np

from tfgreen.records import Record
from tfgreen.verification.metrics import classes

MOST_CHANGES = 200
"""More kinds of changed answers than that are counted, not listed."""


class ClassScore(Record):
    """One class: how many samples have it, and for how many either model says so."""

    label: int
    samples: int
    float_right: int
    file_right: int

    @property
    def gained(self) -> int:
        """Right answers of the file more than of the float model; negative where it lost."""
        return self.file_right - self.float_right


class AnswerChange(Record):
    """Samples of class `label` that the float model calls `float_answer`, and the file `answer`."""

    label: int
    float_answer: int
    answer: int
    samples: int


class AnswerChanges(Record):
    """One labelled output with classes, on the truth kernel set.

    scores: every class that a sample has, in order. changes: answers that differ from the float
    model's, the most frequent first, at most 200 kinds; `changed_samples` counts all of them.
    """

    output: str
    samples: int
    changed_samples: int
    scores: tuple[ClassScore, ...]
    changes: tuple[AnswerChange, ...]


def answer_changes(
    output: str, float_scores: np.ndarray, scores: np.ndarray, labels: np.ndarray
) -> AnswerChanges:
    """Count right answers by class, and answers that changed by kind.

    Args:
        output: Its name.
        float_scores, scores: Of the same samples, (samples, ..., class count).
        labels: Class numbers (samples, ...), or one-hot in the shape of `scores`.

    >>> floats, ours = np.eye(3)[[0, 1, 2, 2]], np.eye(3)[[0, 1, 2, 1]]
    >>> found = answer_changes("word", floats, ours, np.array([0, 1, 2, 2]))
    >>> found.scores[2], found.changes
    (ClassScore(label=2, samples=2, float_right=2, file_right=1), (AnswerChange(label=2, ...),))
    """
    if labels.shape == scores.shape and scores.shape[-1] > 1:
        labels = np.argmax(labels, axis=-1)
    theirs, ours = classes(float_scores).ravel(), classes(scores).ravel()
    true = labels.reshape(ours.shape).astype(np.int64)
    changed = theirs != ours
    kinds = Counter(
        zip(*(part[changed].tolist() for part in (true, theirs, ours)), strict=True)
    ).most_common()
    kinds.sort(key=lambda kind: (-kind[1], kind[0]))
    return AnswerChanges(
        output=output,
        samples=len(true),
        changed_samples=int(changed.sum()),
        scores=tuple(
            ClassScore(
                label=label,
                samples=int((true == label).sum()),
                float_right=int(((true == label) & (theirs == label)).sum()),
                file_right=int(((true == label) & (ours == label)).sum()),
            )
            for label in np.unique(true).tolist()
        ),
        changes=tuple(
            AnswerChange(label=label, float_answer=before, answer=after, samples=count)
            for (label, before, after), count in kinds[:MOST_CHANGES]
        ),
    )
