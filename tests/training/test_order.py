"""The order of an epoch: all samples once, the same from whichever epoch one begins."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfgreen.errors import UsageError
from tfgreen.training.order import epoch_order, ordered_batches


@given(st.integers(0, 200), st.integers(0, 2**32), st.integers(0, 1000))
def test_an_order_is_a_permutation_that_repeats(count: int, seed: int, epoch: int) -> None:
    order = epoch_order(count, seed, epoch)
    assert sorted(order) == list(range(count))
    np.testing.assert_array_equal(order, epoch_order(count, seed, epoch))


def test_epochs_and_seeds_differ() -> None:
    orders = {tuple(epoch_order(50, seed, epoch)) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


def test_batches_are_those_of_the_order_from_any_epoch_on() -> None:
    x, y = np.arange(10.0), {"a": np.arange(10)}
    for first in (0, 3):
        batches = itertools.islice(ordered_batches((x, y), 4, seed=2, first_epoch=first), 6)
        taken = [(np.asarray(one), np.asarray(two["a"])) for one, two in batches]
        assert [len(one) for one, _ in taken] == [4, 4, 2] * 2
        expected = np.concatenate([epoch_order(10, 2, first), epoch_order(10, 2, first + 1)])
        np.testing.assert_array_equal(np.concatenate([one for one, _ in taken]), expected)
        np.testing.assert_array_equal(np.concatenate([two for _, two in taken]), expected)


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match="epoch=-1"):
        epoch_order(5, 0, -1)
