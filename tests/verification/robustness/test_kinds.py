"""What kind of data an input takes: inferred without doubt, or asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfgreen.data import Samples
from tfgreen.errors import InvalidDataError, UnknownNameError, UsageError
from tfgreen.verification.robustness.kinds import Reference, kinds_of


def samples(shape: tuple[int, ...], dtype: str = "float32") -> Samples:
    return Samples({"x": np.ones((3, *shape), dtype)})


@pytest.mark.parametrize(
    ("shape", "dtype", "kind"),
    [
        ((32, 32, 3), "float32", "image"),
        ((20, 30, 4), "uint8", "image"),
        ((28, 28, 1), "float32", "image"),
        ((64,), "int32", "text"),
    ],
)
def test_a_clear_shape_tells_the_kind(shape: tuple[int, ...], dtype: str, kind: str) -> None:
    told = kinds_of(samples(shape, dtype), None)["x"]
    assert told.kind == kind
    assert told.how.startswith("inferred: ")
    assert str(shape) in told.how


@pytest.mark.parametrize("shape", [(49, 10, 1), (16,), (100, 40), (8, 8, 8)])
def test_an_unclear_shape_is_asked_about(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="does not follow from its values"):
        kinds_of(samples(shape), None)
    assert kinds_of(samples(shape), "audio")["x"].how == "as given"


def test_several_inputs_need_a_kind_each() -> None:
    both = Samples({"a": np.ones((2, 8, 8, 3)), "b": np.ones((2, 5))})
    with pytest.raises(UsageError, match="the inputs a, b"):
        kinds_of(both, "image")
    assert list(kinds_of(both, {"a": "image"})) == ["a"]
    with pytest.raises(UnknownNameError, match="Unknown input 'c'"):
        kinds_of(both, {"c": "image"})
    with pytest.raises(UnknownNameError, match="Unknown kind of data 'smell'"):
        kinds_of(both, {"a": "smell"})


def test_the_reference_is_the_datas() -> None:
    values = np.array([[[1.0, -4.0], [3.0, 8.0]]], np.float32)
    found = Reference.of("x", values, "audio")
    assert (found.low, found.high) == (-4.0, 8.0)
    assert found.band_means == pytest.approx([2.0, 2.0])
    assert found.deviation == pytest.approx([1.0, 6.0])
    bytes_of = np.array([3, 200], np.uint8).reshape(1, 2, 1, 1)
    assert Reference.of("x", bytes_of, "image").high == 255.0
    tokens = Reference.of("x", np.array([[0, 4, 2, 4]]), "text").tokens
    assert list(tokens) == [2, 4]
    assert Reference.of("x", values, "audio", (-5, 9)).low == -5.0


@pytest.mark.parametrize(
    ("values", "kind", "given", "message"),
    [
        (np.full((2, 4, 4, 3), 0.5), "image", None, "All values of the input 'x' are 0.5"),
        (np.full((2, 4, 4, 3), np.nan), "image", None, "NaN or infinite"),
        (np.zeros((0, 4, 4, 3)), "image", None, "There are no samples"),
        (np.ones((2, 4)), "image", None, r"expected \(height, width, channels\)"),
        (np.ones((2, 4)), "text", None, "expected one row of whole numbers"),
        (np.ones((2, 1, 1, 1, 1)), "audio", None, r"expected \(time,\)"),
    ],
)
def test_data_that_do_not_fit(values: np.ndarray, kind: Any, given: Any, message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        Reference.of("x", values, kind, given)


@pytest.mark.parametrize("given", [(1.0, 0.0), (0.0, np.inf), (0.2, 0.9)])
def test_a_range_that_is_none(given: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="range"):
        Reference.of("x", np.array([[0.0, 1.0]]), "audio", given)
