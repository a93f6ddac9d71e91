"""What every activation of a float file does on the calibration runs, against plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from tests import tiny_models
from tests.tflite.float_layers import float_dense
from tests.tiny_models import OpSpec, TensorSpec
from tfgreen.errors import InvalidDataError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.tflite.patches import patch_sampler
from tfgreen.tflite.statistics import ActivationStatistics, collect_statistics


def chain(length: int, shape: tuple[int, ...] = (1, 4)) -> bytes:
    """t0 → -t0 → t0 → ...: memory of the first tensors is used again for later ones."""
    specs = [TensorSpec(f"t{i}", shape, "float32") for i in range(length + 1)]
    ops = [OpSpec("NEG", [f"t{i}"], [f"t{i + 1}"]) for i in range(length)]
    return tiny_models.build(specs, ops, ["t0"], [f"t{length}"])


def test_every_activation_of_every_run() -> None:
    x = np.array([[[1, 2, 3, 4]], [[-5, 0, 2, 8]]], np.float32)
    statistics = collect_statistics(chain(5), [x])
    assert statistics.names == ("t0", "t1", "t2", "t3", "t4", "t5") and statistics.runs == 2
    for row in range(6):
        signed = x * (-1) ** row
        assert statistics.minimum[row].tolist() == signed.min(axis=(1, 2)).tolist()
        assert statistics.maximum[row].tolist() == signed.max(axis=(1, 2)).tolist()
        np.testing.assert_array_equal(statistics.values[row], signed.reshape(2, 4))
    assert statistics.extremes("t1") == (-8.0, 5.0)


def test_a_subset_is_what_those_runs_alone_would_give() -> None:
    rng = np.random.default_rng(0)
    content = float_dense((1, 6), rng.normal(size=(3, 6)), rng.normal(size=3))
    x = rng.normal(size=(7, 1, 6)).astype(np.float32)
    part = collect_statistics(content, [x]).subset([4, 1])
    alone = collect_statistics(content, [x[[4, 1]]])
    assert part.names == alone.names and part.runs == 2
    np.testing.assert_array_equal(part.minimum, alone.minimum)
    np.testing.assert_array_equal(part.maximum, alone.maximum)
    for one, other in zip(part.values, alone.values, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(part.patches[0], alone.patches[0])


def test_rows_are_those_of_the_sampler_run_by_run() -> None:
    rng = np.random.default_rng(0)
    content = float_dense((1, 5, 6), rng.normal(size=(3, 6)))
    x = rng.normal(size=(4, 1, 5, 6)).astype(np.float32)
    statistics = collect_statistics(content, [x])
    model = TfliteModel.from_bytes(content)
    sampler = patch_sampler(model, model.ops[0], runs=4)
    assert statistics.patches[0].shape == (4, 5, 6)
    for run in range(4):
        np.testing.assert_array_equal(statistics.patches[0][run], sampler.take(x[run]))


def test_of_large_tensors_a_fixed_sample_is_kept() -> None:
    x = np.arange(5000, dtype=np.float32).reshape(1, 1, 5000)
    first, again = (collect_statistics(chain(1, (1, 5000)), [x]) for _ in range(2))
    assert first.values[0].shape == (1, 1024)
    np.testing.assert_array_equal(first.values[0], again.values[0])
    assert len(np.unique(first.values[0])) == 1024
    assert first.extremes("t1") == (-4999.0, 0.0), "extremes are of all values"


def test_tensors_of_integers_have_no_range() -> None:
    specs = [TensorSpec("x", (1, 2), "int32"), TensorSpec("y", (1, 2), "float32")]
    content = tiny_models.build(specs, [OpSpec("CAST", ["x"], ["y"])], ["x"], ["y"])
    statistics = collect_statistics(content, [np.array([[[3, -7]]], np.int32)])
    assert statistics.names == ("y",) and statistics.extremes("y") == (-7.0, 3.0)


def test_several_inputs_go_in_graph_order() -> None:
    a, b = np.full((2, 1, 4), 2.0, np.float32), np.full((2, 1, 4), 5.0, np.float32)
    statistics = collect_statistics(tiny_models.float_add(), [a, b])
    ends = {name: statistics.extremes(name) for name in ("a", "b", "sum")}
    assert ends == {"a": (2.0, 2.0), "b": (5.0, 5.0), "sum": (7.0, 7.0)}


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_ranges_cannot_come_from_what_is_not_finite(bad: float) -> None:
    x = np.ones((3, 1, 4), np.float32)
    x[1, 0, 2] = bad
    with pytest.raises(InvalidDataError, match="tensor 't0' on calibration run 1"):
        collect_statistics(chain(1), [x])


def test_infinity_inside_the_network_names_its_tensor() -> None:
    specs = [TensorSpec(name, (1, 1), "float32") for name in ("x", "y")]
    content = tiny_models.build(specs, [OpSpec("EXP", ["x"], ["y"])], ["x"], ["y"])
    with pytest.raises(InvalidDataError, match="tensor 'y' on calibration run 0"):
        collect_statistics(content, [np.full((1, 1, 1), 1000, np.float32)])


def test_progress_is_told_run_by_run() -> None:
    told: list[tuple[int, int]] = []
    x = np.ones((3, 1, 4), np.float32)
    collect_statistics(chain(1), [x], lambda *counts: told.append(counts))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_extremes_are_over_all_runs() -> None:
    one = ActivationStatistics(("a",), np.array([[0.0, -1.0]]), np.array([[2.0, 1.0]]), ())
    assert one.extremes("a") == (-1.0, 2.0)
