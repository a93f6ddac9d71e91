"""No false alarm: sound files on few samples, on samples of one class, with labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.verification.diagnosis.conftest import Patient
from tfgreen.verification.diagnosis.data import chance_of

Patients = Callable[[str], Patient]


@pytest.mark.parametrize("kind", ["keyword", "residual"])
@pytest.mark.parametrize("count", [1, 3, 16])
def test_few_labelled_samples_accuse_nobody(patient: Patients, kind: str, count: int) -> None:
    sound = patient(kind)
    diagnosis = sound.diagnose(samples=sound.samples.head(count), labels=True)
    assert diagnosis.is_healthy, diagnosis.text()


@pytest.mark.parametrize("kind", ["keyword", "residual"])
@pytest.mark.parametrize("labelled", [True, False])
def test_samples_of_one_class_accuse_nobody(patient: Patients, kind: str, labelled: bool) -> None:
    sound = patient(kind)
    labels = sound.samples.labels["y"]
    chosen = np.flatnonzero(labels == np.bincount(labels).argmax())
    diagnosis = sound.diagnose(samples=sound.samples.take(chosen), labels=labelled)
    assert diagnosis.is_healthy, diagnosis.text()


def test_chance_counts_what_the_model_tells() -> None:
    """A rare class: naming the frequent one always is chance, finding the rare one is not."""
    labels = np.repeat([0, 1], [190, 10])
    never = np.zeros(200, np.int64)
    expected = 0.95 + 2 * np.sqrt(0.95 * 0.05 / 200)
    luck = expected - 0.95
    assert luck > 0.25 * 0.05  # too much luck for 200 samples
    assert chance_of(labels, never) is None
    many = chance_of(np.tile(labels, 40), np.tile(never, 40))
    assert many is not None
    assert many == pytest.approx(0.95 + 2 * np.sqrt(0.95 * 0.05 / 8000))
    found = chance_of(np.tile(labels, 40), np.tile(labels, 40))
    assert found is not None
    assert found < 0.95


def test_labels_of_every_position() -> None:
    """A sequence of labels is no one-hot vector."""
    from tfgreen.verification.diagnosis.examination import _class_numbers

    told = np.arange(12).reshape(3, 4) % 5
    assert np.array_equal(_class_numbers(told, told.shape), told)
    assert np.array_equal(_class_numbers(np.eye(5)[told], told.shape), told)
