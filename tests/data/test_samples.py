"""Samples: lengths, selections, labels by output, and the hash."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tfgreen.data import Samples
from tfgreen.errors import InvalidDataError

FOUR = Samples(
    {"a": np.arange(8.0).reshape(4, 2), "b": np.arange(4, dtype="uint8")},
    {"y": np.array([0, 1, 2, 1])},
    "four.npz",
    ("one", "two", "three"),
)


def test_selections_keep_everything_together():
    assert len(FOUR) == 4
    taken = FOUR.take([3, 0])
    assert taken.inputs["a"].tolist() == [[6.0, 7.0], [0.0, 1.0]]
    assert taken.inputs["b"].tolist() == [3, 0]
    assert taken.labels["y"].tolist() == [1, 0]
    assert taken.label_names == FOUR.label_names
    assert len(FOUR.head(3)) == 3
    assert len(FOUR.head(9)) == 4


def test_spread_reaches_both_ends():
    hundred = Samples({"x": np.arange(100)}, source="a.npz")
    assert hundred.spread(100) is hundred
    assert hundred.spread(3).inputs["x"].tolist() == [0, 50, 99]
    assert hundred.spread(3).source == "a.npz (3 of 100 samples, evenly spaced)"
    assert hundred.spread(1).inputs["x"].tolist() == [0]


@pytest.mark.parametrize(
    ("inputs", "labels", "told"),
    [
        ({}, {}, "holds no input"),
        ({"x": np.zeros((3, 2))}, {"y": np.zeros(2)}, "'x' has 3, 'y' has 2"),
        ({"x": np.array(["a", "b"])}, {}, "'x' in arrays holds text"),
        ({"x": np.zeros(2)}, {"y": np.array(["cat", "dog"])}, "class numbers in y"),
        ({"x": np.zeros(2, complex)}, {}, "dtype complex128"),
        ({"x": np.array([None, 1])}, {}, "dtype object"),
        ({"x": np.float32(1)}, {}, "single value"),
    ],
)
def test_arrays_that_are_no_samples(inputs, labels, told):
    with pytest.raises(InvalidDataError, match=told):
        Samples(inputs, labels)


def test_labels_go_to_their_outputs():
    assert list(FOUR.labels_for(["digit"])) == ["digit"]
    assert list(FOUR.labels_for(["y"])) == ["y"]
    named = replace(FOUR, labels={"ink": np.zeros(4)})
    assert list(named.labels_for(["digit", "ink"])) == ["ink"]
    with pytest.raises(InvalidDataError, match="y_digit, y_ink"):
        FOUR.labels_for(["digit", "ink"])
    with pytest.raises(InvalidDataError, match="labels 'ink'"):
        named.labels_for(["digit"])


def test_hash_ignores_source_order_and_layout():
    turned = Samples(
        {"b": FOUR.inputs["b"].copy(), "a": np.asfortranarray(FOUR.inputs["a"])},
        {"y": FOUR.labels["y"].astype(">i8")},
        "elsewhere",
    )
    assert turned.sha256() == FOUR.sha256()


@pytest.mark.parametrize(
    "other",
    [
        replace(FOUR, inputs={"c": FOUR.inputs["a"], "b": FOUR.inputs["b"]}),
        replace(FOUR, inputs={"a": FOUR.inputs["a"].reshape(4, 2, 1), "b": FOUR.inputs["b"]}),
        replace(FOUR, inputs={"a": FOUR.inputs["a"], "b": FOUR.inputs["b"].astype("int8")}),
        replace(FOUR, inputs={"a": FOUR.inputs["a"]}, labels={"b": FOUR.inputs["b"]}),
        replace(FOUR, labels={}),
        FOUR.take([1, 0, 2, 3]),
    ],
)
def test_hash_sees_names_shapes_dtypes_labels_and_order(other):
    assert other.sha256() != FOUR.sha256()


NUMBERS = arrays.arrays(
    st.sampled_from(["float32", "float64", "int32", "uint8", "bool"]),
    arrays.array_shapes(min_dims=1, max_dims=3, max_side=4),
)


@settings(deadline=None)
@given(NUMBERS, NUMBERS)
def test_hash_changes_exactly_with_the_content(one, other):
    same = (
        one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    )
    assert (Samples({"x": one}).sha256() == Samples({"x": other}).sha256()) == same
    assert Samples({"x": one.copy()}, source="b").sha256() == Samples({"x": one}).sha256()
