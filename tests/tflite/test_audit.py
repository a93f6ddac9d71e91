"""Ranges in a quantized file, held against what the float model really did."""

from __future__ import annotations

import numpy as np
import pytest

from tests import tiny_models
from tests.tflite.planted import statistics_of
from tests.tiny_models import OpSpec, TensorSpec
from tfgreen.tflite.audit import audit_ranges

SCALE, ZERO_POINT = 0.1, -28
STORED = ((-128 + 28) * SCALE, (127 + 28) * SCALE)  # -10 to 15.5: 25.5 wide


def int8_relu(op: str = "RELU", dtype: str = "int8", zero_point: int = ZERO_POINT) -> bytes:
    specs = [TensorSpec(name, (1, 4), dtype, SCALE, zero_point) for name in ("x", "y")]
    return tiny_models.build(specs, [OpSpec(op, ["x"], ["y"])], ["x"], ["y"])


def test_true_ranges_are_not_found() -> None:
    truth = statistics_of({"x": [[-10, 15.5]], "y": [[-9.5, 15]]})
    assert audit_ranges(int8_relu(), truth) == ()


def test_a_range_twice_too_wide_is_found() -> None:
    """Stored: 25.5 wide. True: -4 to 8.75, 12.75 wide."""
    (finding,) = audit_ranges(int8_relu(), statistics_of({"y": [[-4, 0], [1, 8.75]]}))
    assert finding.tensor == "y" and finding.width_ratio == 2.0 and finding.clipped_share == 0.0
    assert finding.stored == pytest.approx(STORED) and finding.true == (-4.0, 8.75)


def test_a_range_that_clips_is_found_with_its_share() -> None:
    """Two of the eight values lie outside -10 to 15.5; the true range is 51 wide."""
    values = [[-20, 0, 1, 2], [3, 4, 31, 15]]
    (finding,) = audit_ranges(int8_relu(), statistics_of({"y": values}))
    assert finding.width_ratio == 0.5 and finding.clipped_share == 2 / 8


@pytest.mark.parametrize(("width", "found"), [(1.24, 0), (1.26, 1), (0.81, 0), (0.79, 1)])
def test_the_limits(width: float, found: int) -> None:
    low, high = np.array(STORED) / width
    assert len(audit_ranges(int8_relu(), statistics_of({"y": [[low, high]]}))) == found


def test_zero_counts_as_part_of_the_true_range() -> None:
    """Quantization needs zero: values of 15 to 15.5 have the range 0 to 15.5."""
    (finding,) = audit_ranges(int8_relu(), statistics_of({"y": [[15, 15.5]]}))
    assert finding.true == (0.0, 15.5) and finding.width_ratio == pytest.approx(25.5 / 15.5, 1e-3)


@pytest.mark.parametrize("op", ["SOFTMAX", "LOGISTIC", "TANH"])
def test_ranges_that_the_specification_fixes_are_left_out(op: str) -> None:
    assert audit_ranges(int8_relu(op), statistics_of({"y": [[0, 0.001]]})) == ()


@pytest.mark.parametrize(
    ("dtype", "zero_point", "stored"),
    [("uint8", 100, (-10.0, 15.5)), ("int16", 0, (-3276.8, 3276.7))],
)
def test_other_integers_have_other_ends(dtype: str, zero_point: int, stored: tuple) -> None:
    content = int8_relu(dtype=dtype, zero_point=zero_point)
    (finding,) = audit_ranges(content, statistics_of({"y": [[0, 5]]}))
    assert finding.stored == pytest.approx(stored)


def test_tensors_without_a_counterpart_or_width_are_left_out() -> None:
    assert audit_ranges(int8_relu(), statistics_of({"other": [[0, 1]], "y": [[0, 0]]})) == ()
    assert audit_ranges(tiny_models.float_add(), statistics_of({"sum": [[0, 1]]})) == ()


def test_constants_are_left_out() -> None:
    statistics = statistics_of({"weights": [[0, 1e-6]], "bias": [[0, 1e-6]]})
    assert audit_ranges(tiny_models.int8_classifier(), statistics) == ()


def test_a_finding_is_ready_for_json() -> None:
    (finding,) = audit_ranges(int8_relu(), statistics_of({"y": [[-4, 8.75]]}))
    assert finding.to_facts()["width_ratio"] == 2.0
