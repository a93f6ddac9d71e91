"""Matching by name and shape, and casts that lose nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfgreen.data import Samples, match
from tfgreen.errors import InvalidDataError
from tfgreen.signature import InputSpec

IMAGE = InputSpec("image", (4, 4, 1), "float32")
ALPHA, ZETA = InputSpec("alpha", (2,), "float32"), InputSpec("zeta", (2,), "float32")


def matched(array, spec=IMAGE):
    return match(Samples({"x": array}), [spec]).inputs[spec.name]


def test_x_stands_for_the_only_input():
    assert matched(np.zeros((3, 4, 4, 1), "float32")).shape == (3, 4, 4, 1)


@settings(deadline=None)
@given(st.permutations(["alpha", "zeta", "mid"]), st.permutations(["alpha", "zeta", "mid"]))
def test_order_never_matters(given_order, wanted_order):
    values = {"alpha": 1.0, "zeta": 2.0, "mid": 3.0}
    samples = Samples({name: np.full((3, 2), values[name], "float32") for name in given_order})
    specs = [InputSpec(name, (2,), "float32") for name in wanted_order]
    result = match(samples, specs)
    assert list(result.inputs) == wanted_order
    assert all((result.inputs[name] == values[name]).all() for name in wanted_order)
    assert result.sha256() == samples.sha256()


@pytest.mark.parametrize("names", [("x",), ("alpha",), ("alpha", "beta"), ("alpha", "zeta", "x")])
def test_wrong_names_are_listed(names):
    samples = Samples({name: np.zeros((3, 2), "float32") for name in names})
    with pytest.raises(InvalidDataError, match=r"takes 'alpha' float32 \(2,\), 'zeta'"):
        match(samples, [ALPHA, ZETA])


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((4, 4, 1), r"x\[np.newaxis\]"),
        ((9, 4, 4), r"x\[..., np.newaxis\]"),
        ((9, 16), r"x.reshape\(-1, 4, 4, 1\)"),
        ((36, 4, 1), "batch them first"),
        ((9, 5, 4, 1), "Prepare the samples"),
    ],
)
def test_wrong_shapes_get_a_hint(shape, hint):
    with pytest.raises(InvalidDataError, match=rf"expected \(n, 4, 4, 1\)\..*{hint}"):
        matched(np.zeros(shape, "float32"))


def test_more_shape_hints():
    with pytest.raises(InvalidDataError, match="channels come first"):
        matched(np.zeros((2, 3, 8, 6), "float32"), InputSpec("i", (8, 6, 3), "float32"))
    with pytest.raises(InvalidDataError, match="one dimension too many"):
        matched(np.zeros((2, 8, 6, 1), "float32"), InputSpec("i", (8, 6), "float32"))


def test_free_dimensions_and_scalars():
    free = InputSpec("tokens", (None,), "int32")
    assert matched(np.zeros((2, 7), "int32"), free).shape == (2, 7)
    assert matched(np.zeros(5, "float32"), InputSpec("level", (), "float32")).shape == (5,)


@pytest.mark.parametrize(
    ("given_dtype", "wanted"),
    [
        ("uint8", "float32"),
        ("int64", "float32"),
        ("bool", "float32"),
        ("float16", "float32"),
        ("float64", "float32"),
        ("int64", "int32"),
        ("int64", "uint8"),
        ("uint8", "int64"),
        ("int64", "bool"),
    ],
)
def test_casts_that_keep_the_values(given_dtype, wanted):
    array = np.array([[0], [1]], given_dtype)
    result = matched(array, InputSpec("v", (1,), wanted))
    assert result.dtype == wanted
    assert result.tolist() == array.tolist()


@pytest.mark.parametrize(
    ("values", "given_dtype", "wanted", "told"),
    [
        ([1.0], "float32", "int32", "never turned into integers"),
        ([1.0], "float64", "uint8", "never turned into integers"),
        ([1.0], "float32", "bool", "never turned into integers"),
        ([256], "int64", "uint8", "1 of 1, as 256"),
        ([-1], "int8", "uint8", "1 of 1, as -1"),
        ([2], "int64", "bool", "as 2"),
        ([2**24 + 1], "int64", "float32", "as 16777217"),
        ([2**63 + 1], "uint64", "float32", "9223372036854775809"),
        ([1e300], "float64", "float32", "as 1e"),
        ([70000], "int64", "float16", "as 70000"),
    ],
)
def test_casts_that_would_lose_something(values, given_dtype, wanted, told):
    with pytest.raises(InvalidDataError, match=told):
        matched(np.array([values], given_dtype), InputSpec("v", (1,), wanted))


def test_large_integers_that_floats_hold_exactly():
    assert matched(np.array([[2**30]]), InputSpec("v", (1,), "float32")).item() == 2.0**30


def test_nan_survives_the_cast_for_the_audit_to_find():
    array = matched(np.array([[np.nan], [np.inf]]), InputSpec("v", (1,), "float32"))
    assert not np.isfinite(array).any()


@settings(deadline=None)
@given(st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=20))
def test_float64_is_rounded_within_half_a_step(values):
    array = np.array(values)[:, np.newaxis]
    result = matched(array, InputSpec("v", (1,), "float32"))
    # Half of float32's smallest step, below its normal numbers, is 2**-150.
    assert np.all(np.abs(result - array) <= np.abs(array) * 2.0**-24 + 2.0**-150)
