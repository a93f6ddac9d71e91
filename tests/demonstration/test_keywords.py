from __future__ import annotations

import numpy as np

from tfgreen.demonstration import load_keywords


def test_the_bundled_clips() -> None:
    keywords = load_keywords()
    assert keywords.x_train.shape == (1664, 49, 10, 1)
    assert keywords.x_test.shape == (416, 49, 10, 1)
    assert keywords.x_train.dtype == keywords.x_test.dtype == np.float32
    assert np.isfinite(keywords.x_train).all()
    assert np.isfinite(keywords.x_test).all()
    assert len(keywords.labels) == 12
    assert set(keywords.y_train) == set(keywords.y_test) == set(range(12))


def test_no_test_clip_is_a_training_clip() -> None:
    keywords = load_keywords()
    seen = {clip.tobytes() for clip in keywords.x_train}
    assert not seen & {clip.tobytes() for clip in keywords.x_test}
