"""Mask constants: as small as the softmax allows, and no smaller."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tflite.chained_networks import masked_scores
from tests.tflite.float_layers import run
from tfgreen.flatbuffer import TfliteModel
from tfgreen.tflite.float_repairs import shrink_masks
from tfgreen.tflite.masking import mask_constants

AHEAD = np.triu(np.ones((4, 4)), 1)
RUNS = np.random.default_rng(1).normal(size=(24, 1, 4, 8)).astype(np.float32)


@pytest.mark.parametrize("size", [-1e9, -2e38, -1e4])
def test_the_mask_shrinks_and_the_answers_stay(size: float) -> None:
    content = masked_scores(np.where(AHEAD > 0, size, 0))
    done = shrink_masks(content, [RUNS])
    assert done.layers == ("masked",)
    model = TfliteModel.from_bytes(done.content)
    values = model.constant(model.tensor_index("mask"))
    assert -60 < values.min() < -15
    assert (values[AHEAD == 0] == 0).all()
    for x in RUNS:
        np.testing.assert_allclose(run(done.content, x), run(content, x), atol=1e-5)


def test_a_row_masked_as_a_whole_is_not_touched() -> None:
    """With -1e9 everywhere the scores drown and the row is uniform; with -30 they would not."""
    mask = np.zeros((4, 4))
    mask[2] = -1e9
    content = masked_scores(mask)
    done = shrink_masks(content, [RUNS])
    assert done.content == content
    assert not done.layers
    assert "masked as a whole" in done.said


def test_ordinary_constants_are_no_masks() -> None:
    content = masked_scores(AHEAD * -5)
    assert not mask_constants(TfliteModel.from_bytes(content))
    assert shrink_masks(content, [RUNS]).content == content
