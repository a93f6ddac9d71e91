"""Learned rounding: against exhaustive search, and against rounding to nearest."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tfgreen.tflite.least_squares import (
    Problem,
    best_integers,
    best_shrink,
    learned,
    polished,
    problem_of,
)


def problem(size: int, outputs: int = 5, blocks: int = 1, seed: int = 0, limit: int = 7) -> Problem:
    """Correlated inputs, weights that use the whole width."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(blocks, 200, size)) + 2 * rng.normal(size=(blocks, 200, 1))
    weights = rng.normal(size=(blocks, size, outputs))
    scales = np.abs(weights).max(axis=1, keepdims=True) / limit
    rows = rows.astype(np.float32)
    return problem_of(weights, scales, rows, rows, limit)


@pytest.mark.parametrize("seed", range(3))
def test_small_layers_come_close_to_the_best_there_is(seed: int) -> None:
    """Of all choices of the integer below or above each of 8 weights."""
    found = problem(8, outputs=3, seed=seed)
    below = np.floor(found.weights)
    offset = (found.weights * (found.moments @ found.weights)).sum(axis=1)
    least = np.min(
        [
            found.error(np.clip(below + np.array(ups)[None, :, None], -7, 7))
            for ups in itertools.product((0, 1), repeat=8)
        ],
        axis=0,
    )
    ours = found.error(best_integers(found, ()))
    nearest = found.error(found.nearest)
    assert (ours + offset <= 1.3 * (least + offset) + 1e-6).all()
    assert (ours + offset).sum() < 0.6 * (nearest + offset).sum()


@pytest.mark.parametrize("blocks", [1, 6])
def test_learned_rounding_beats_nearest(blocks: int) -> None:
    found = problem(24 if blocks == 1 else 9, 5 if blocks == 1 else 1, blocks)
    stored = learned(found, 400)
    assert (np.abs(stored - found.weights) < 1 + 1e-6).all(), "the one below or the one above"
    assert found.error(stored).sum() < found.error(found.nearest).sum()
    assert (found.error(best_integers(found, ())) <= found.error(found.nearest)).all()


def test_no_single_change_helps_a_polished_layer() -> None:
    found = problem(10, outputs=2)
    stored = polished(found, found.nearest)
    least = found.error(stored)
    for column in range(10):
        for step in (-1, 1):
            changed = stored.copy()
            changed[:, column] = np.clip(changed[:, column] + step, -7, 7)
            assert (found.error(changed) >= least - 1e-4).all()


def test_zeros_stay_zeros() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(1, 20, 4)) * (rng.random((1, 20, 4)) < 0.4)
    rows = (rng.normal(size=(1, 100, 20)) + 1).astype(np.float32)
    scales = np.abs(weights).max(axis=1, keepdims=True) / 7
    found = problem_of(weights, scales, rows, rows, 7)
    assert (best_integers(found, ())[weights == 0] == 0).all()


def test_errors_of_earlier_layers_are_made_up_for() -> None:
    """The quantized network gives half of what it should: the weights have to double."""
    rng = np.random.default_rng(0)
    real = rng.normal(size=(1, 400, 3)).astype(np.float32)
    weights = np.array([[[2.0], [-1.0], [3.0]]])
    found = problem_of(weights, np.ones((1, 1, 1)), real / 2, real, 127)
    np.testing.assert_array_equal(best_integers(found, ())[0, :, 0], [4, -2, 6])


def test_an_outlier_among_weights_is_clipped_for_the_others() -> None:
    """One weight ten times the rest: a smaller step loses less, as the errors of all say."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(1, 64, 1))
    weights[0, 0, 0] = 5.0
    rows = rng.normal(size=(1, 500, 64)).astype(np.float32)
    found = problem_of(weights, np.full((1, 1, 1), 5 / 7), rows, rows, 7)
    shrink = best_shrink(found)[0, 0]
    scales = {factor: factor * 5 / 7 for factor in (1.0, float(shrink))}
    errors = {
        factor: float(np.mean((rows[0] @ (np.clip(np.rint(weights[0] / s), -7, 7) * s - weights[0]))
                              ** 2))
        for factor, s in scales.items()
    }  # fmt: skip
    assert shrink < 1
    assert errors[float(shrink)] < errors[1.0]
