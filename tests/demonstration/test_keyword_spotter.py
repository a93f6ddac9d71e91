from __future__ import annotations

from dataclasses import replace

import numpy as np

from tfgreen.demonstration import load_keywords
from tfgreen.demonstration.keyword_spotter import (
    _varied,
    build_keyword_spotter,
    train_keyword_spotter,
)


def test_layers_and_parameters() -> None:
    model = build_keyword_spotter()
    stem = 10 * 4 * 64 + 4 * 64
    block = 3 * 3 * 64 + 4 * 64 + 64 * 64 + 4 * 64
    assert model.count_params() == stem + 4 * block + 64 * 12 + 12
    assert model.input_shape == (None, 49, 10, 1)
    assert model.output_shape == (None, 12)


def test_training_reports_epochs_and_learns() -> None:
    keywords = load_keywords()
    few = replace(keywords, x_train=keywords.x_train[:256], y_train=keywords.y_train[:256])
    seen: list[tuple[int, int, float]] = []
    train_keyword_spotter(few, epochs=3, on_epoch=lambda *step: seen.append(step))
    assert [(epoch, epochs) for epoch, epochs, _ in seen] == [(1, 3), (2, 3), (3, 3)]
    assert seen[-1][2] > seen[0][2]


def test_variation_shifts_frames_and_keeps_the_edge() -> None:
    clips = np.repeat(np.arange(49.0, dtype=np.float32), 10).reshape(1, 49, 10, 1)
    moved = _varied(clips, _Silent(3))
    assert moved[0, :, 0, 0].tolist() == [*range(3, 49), 48, 48, 48]


class _Silent(np.random.Generator):
    """A generator that always draws the same shift and no noise."""

    def __init__(self, shift: int) -> None:
        super().__init__(np.random.PCG64(0))
        self._shift = shift

    def integers(self, low, high, size):  # type: ignore[override]
        assert low <= self._shift < high
        return np.full(size, self._shift)

    def standard_normal(self, size):  # type: ignore[override]
        return np.zeros(size)
