"""Differences in quanta, with numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.flatbuffer import TfliteModel
from tfgreen.verification.quanta import (
    Comparison,
    finite_range,
    float_quantum,
    is_exact,
    quantum_of,
    steps_apart,
)


def compared(truth: np.ndarray, other: np.ndarray, quantum: float | None = 1.0) -> Comparison:
    comparison = Comparison(quantum)
    comparison.add(truth, other)
    return comparison


def test_int8_differences_do_not_overflow() -> None:
    found = compared(np.int8([-128, 127, 0, 5]), np.int8([127, -128, 0, 4]))
    assert found.max_quanta == 255
    assert found.differing_share == 3 / 4


def test_no_difference() -> None:
    found = compared(np.int8([1, 2]), np.int8([1, 2]))
    assert (found.max_quanta, found.differing_share) == (0.0, 0.0)


def test_nothing_at_all() -> None:
    found = compared(np.empty(0, np.int8), np.empty(0, np.int8))
    assert (found.max_quanta, found.differing_share) == (0.0, 0.0)


def test_float_quantum_is_a_share_of_the_range() -> None:
    truth = np.array([0.0, 2.0, 1.0])  # range 2, so that a quantum is 2e-5
    found = compared(truth, truth + [0.0, 0.0, 3e-5], None)
    assert found.max_quanta == pytest.approx(1.5)
    assert found.differing_share == pytest.approx(1 / 3)


def test_float_quantum_is_no_finer_than_float32() -> None:
    eps = float(np.finfo(np.float32).eps)
    assert float_quantum(1.0, 1.0 + 1e-6) == pytest.approx(4 * eps * (1 + 1e-6))
    assert float_quantum(0.0, 0.0) > 0


def test_portions_add_up() -> None:
    comparison = Comparison(1.0)
    comparison.add(np.int8([0, 0]), np.int8([0, 2]))
    comparison.add(np.int8([0, 0]), np.int8([5, 0]))
    assert comparison.max_quanta == 5
    assert comparison.differing_share == 2 / 4


def test_values_that_are_not_finite() -> None:
    nan, inf = np.nan, np.inf
    assert compared(np.array([nan, 1.0]), np.array([nan, 1.0]), None).max_quanta == 0.0
    assert compared(np.array([inf, 1.0]), np.array([inf, 1.0]), None).max_quanta == 0.0
    assert compared(np.array([0.0, 1.0]), np.array([nan, 1.0]), None).max_quanta is None
    assert compared(np.array([nan, 1.0]), np.array([0.0, 1.0]), None).max_quanta is None
    assert compared(np.array([inf, 1.0]), np.array([-inf, 1.0]), None).max_quanta is None


@given(st.lists(st.tuples(st.integers(-128, 127), st.integers(-128, 127)), min_size=1))
def test_steps_are_the_differences_that_are_not_zero(pairs: list[tuple[int, int]]) -> None:
    first, second = (np.array(side, np.int8) for side in zip(*pairs, strict=True))
    expected = [abs(a - b) for a, b in pairs if a != b]
    assert steps_apart(first, second).tolist() == expected


def test_finite_range() -> None:
    assert finite_range(np.array([3.0, -1.0, np.inf, np.nan])) == (-1.0, 3.0)
    low, high = finite_range(np.array([np.nan]))
    assert low > high


def test_quantum_of_a_dequantized_output_is_its_scale() -> None:
    tensors = [
        TensorSpec("x", (1, 4), scale=0.25),
        TensorSpec("y", (1, 4), "float32"),
        TensorSpec("z", (1, 4), "float32"),
    ]
    ops = [OpSpec("DEQUANTIZE", ["x"], ["y"]), OpSpec("ABS", ["y"], ["z"])]
    model = TfliteModel.from_bytes(build(tensors, ops, ["x"], ["z"]))
    assert [quantum_of(model, index) for index in range(3)] == [1.0, 0.25, None]


def test_plain_integers_are_exact() -> None:
    tensors = [
        TensorSpec("x", (1, 4), scale=0.25),
        TensorSpec("axis", (), "int32", data=np.array(1, np.int32)),
        TensorSpec("y", (1,), "int64"),
    ]
    content = build(tensors, [OpSpec("ARG_MAX", ["x", "axis"], ["y"])], ["x"], ["y"])
    model = TfliteModel.from_bytes(content)
    assert [is_exact(model, index) for index in (0, 2)] == [False, True]
    assert not is_exact(TfliteModel.from_bytes(tiny_models.float_add()), 0)
