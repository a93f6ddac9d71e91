"""The race between engines, ranges and roundings, with contenders whose answers are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tests import tiny_models
from tests.tflite.planted import statistics_of
from tests.tiny_models import OpSpec, TensorSpec
from tfgreen.errors import ConversionError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.tflite.selection import RANGE_METHODS, Contender, Judge, Race, contender, folds

RUNS = 20
X = np.random.default_rng(0).uniform(-1, 1, (RUNS, 1, 8)).astype(np.float32)


def relu(scale: float | None = None) -> bytes:
    """y = max(x, 0), in float or, for a scale, rounded to its steps."""
    dtype = "float32" if scale is None else "int8"
    specs = [TensorSpec(name, (1, 8), dtype, scale) for name in ("x", "y")]
    return tiny_models.build(specs, [OpSpec("RELU", ["x"], ["y"])], ["x"], ["y"])


def two_relus(scales: Sequence[float | None]) -> bytes:
    dtypes = ["float32" if scale is None else "int8" for scale in scales]
    specs, ops = [], []
    for index, (dtype, scale) in enumerate(zip(dtypes, scales, strict=True)):
        specs += [TensorSpec(f"{name}{index}", (1, 8), dtype, scale) for name in ("x", "y")]
        ops.append(OpSpec("RELU", [f"x{index}"], [f"y{index}"]))
    return tiny_models.build(specs, ops, ["x0", "x1"], ["y0", "y1"])


def sqnr_db(scale: float, runs: Sequence[int]) -> float:
    """By arithmetic: the signal is max(x, 0), the noise what rounding x to steps takes away."""
    real = np.maximum(X[list(runs)], 0).astype(np.float64)
    rounded = np.clip(np.round(real / scale), -128, 127) * scale
    return float(10 * np.log10((real**2).sum() / ((real - rounded) ** 2).sum()))


def planted(
    build: Callable[[Sequence[int]], bytes] | float, name: str = "planted", ranges: str = "planted"
) -> Contender:
    """A contender that always gives the file of one scale, or what `build` gives."""
    if isinstance(build, float):
        content = relu(build)
        return Contender(name, ranges, lambda runs: content)
    return Contender(name, ranges, build)


def race(
    fault_of: Callable[[TfliteModel], str | None] = lambda model: None, runs: int = RUNS
) -> Race:
    return Race(Judge(relu(), [X[:runs]]), runs, fault_of, lambda count: None)


def test_runs_are_dealt_in_turn() -> None:
    assert folds(8) == ((0, 2, 4, 6), (1, 3, 5, 7))
    assert folds(7) == (tuple(range(7)),)
    for count in (8, 9, 500):
        assert sorted(run for fold in folds(count) for run in fold) == list(range(count))


@pytest.mark.parametrize("scale", [1 / 16, 1 / 64, 1 / 128])
def test_sqnr_is_the_arithmetic_s(scale: float) -> None:
    judge = Judge(relu(), [X])
    model = TfliteModel.from_bytes(relu(scale))
    assert judge.sqnr_db([(model, range(RUNS))]) == pytest.approx(sqnr_db(scale, range(RUNS)), 1e-5)


def test_runs_of_all_folds_count_together() -> None:
    """Signal and noise are summed before the ratio, so that a fold weighs as much as it holds."""
    coarse, fine = (TfliteModel.from_bytes(relu(scale)) for scale in (1 / 16, 1 / 64))
    real = np.maximum(X, 0).astype(np.float64)
    noise = 0.0
    for scale, runs in ((1 / 16, [0, 1, 2]), (1 / 64, [7, 9])):
        noise += float(((real[runs] - np.round(real[runs] / scale) * scale) ** 2).sum())
    expected = 10 * np.log10((real[[0, 1, 2, 7, 9]] ** 2).sum() / noise)
    given = Judge(relu(), [X]).sqnr_db([(coarse, [0, 1, 2]), (fine, [7, 9])])
    assert given == pytest.approx(expected, 1e-5)


def test_of_several_outputs_the_mean_in_db() -> None:
    judge = Judge(two_relus([None, None]), [X, X])
    model = TfliteModel.from_bytes(two_relus([1 / 16, 1 / 64]))
    expected = (sqnr_db(1 / 16, range(RUNS)) + sqnr_db(1 / 64, range(RUNS))) / 2
    assert judge.sqnr_db([(model, range(RUNS))]) == pytest.approx(expected, 1e-5)


def test_no_error_at_all_is_200_db() -> None:
    judge, same = Judge(relu(), [X]), TfliteModel.from_bytes(relu())
    assert judge.sqnr_db([(same, range(RUNS))]) == pytest.approx(200)


def test_judging_on_nothing_is_refused() -> None:
    with pytest.raises(ConversionError, match="at least one sample"):
        Judge(relu(), [X]).sqnr_db([])


def test_softmax_is_judged_before_it() -> None:
    """The classifier's answers before SOFTMAX, dequantized: 4 of them, above 1 and below 0."""
    inputs = np.random.default_rng(1).uniform(-1, 1, (10, 1, 16)).astype(np.float32)
    judge = Judge(tiny_models.float_classifier(), [inputs])
    answers = np.array(judge._float_answers)
    assert answers.shape == (10, 1, 1, 4) and answers.max() > 1 and answers.min() < 0


@pytest.mark.parametrize("order", [(1 / 16, 1 / 64), (1 / 64, 1 / 16)])
def test_the_better_one_wins_wherever_it_stands(order: tuple[float, float]) -> None:
    running = race()
    for scale in order:
        running.enter(planted(scale, f"1/{1 / scale:g}"))
    content, winner = running.finish()
    assert winner.quantizer == "1/64" and content == relu(1 / 64)
    assert [c.sqnr_db for c in running.candidates] == pytest.approx(
        [sqnr_db(scale, range(RUNS)) for scale in order], abs=1e-3
    )


def test_ties_go_to_the_earlier_one() -> None:
    running = race()
    for name in ("first", "second"):
        running.enter(planted(1 / 64, name))
    assert running.finish()[1].quantizer == "first"


def test_everyone_is_built_from_one_half_and_judged_on_the_other() -> None:
    """Good only on the runs that it was built from: cross-validation is not impressed."""
    built: list[tuple[int, ...]] = []

    def build(runs: Sequence[int]) -> bytes:
        built.append(tuple(runs))
        return relu(1 / 64)

    running = race()
    running.enter(planted(build))
    even, odd = tuple(range(0, RUNS, 2)), tuple(range(1, RUNS, 2))
    assert built == [odd, even]
    running.finish()
    assert built[2:] == [tuple(range(RUNS))], "the winner is built from all"


def test_what_suits_only_its_own_half_loses() -> None:
    """A scale fitted to the odd runs, when the even ones hold values eight times as large."""
    x = X.copy()
    x[::2] *= 8
    running = Race(Judge(relu(), [x]), RUNS, lambda model: None, lambda count: None)

    def fitted(runs: Sequence[int]) -> bytes:
        return relu(float(np.abs(x[list(runs)]).max()) / 127)

    running.enter(planted(fitted, "fitted"))
    running.enter(planted(8 / 127, "wide"))
    assert running.leader[1].quantizer == "wide"


def test_few_runs_serve_for_both() -> None:
    built: list[tuple[int, ...]] = []

    def build(runs: Sequence[int]) -> bytes:
        built.append(tuple(runs))
        return relu(1 / 64)

    race(runs=3).enter(planted(build))
    assert built == [(0, 1, 2)]


@pytest.mark.parametrize("error", [RuntimeError, ValueError, IndexError, AttributeError])
def test_an_engine_that_raises_is_out_and_says_why(error: type[Exception]) -> None:
    def refuse(runs: Sequence[int]) -> bytes:
        raise error("no kernel\nfor   this")

    running = race()
    candidate = running.enter(planted(refuse, "raising"))
    assert candidate.sqnr_db is None and candidate.fault == "refused: no kernel for this"
    assert not running.is_led
    running.enter(planted(1 / 4, "coarse"))
    assert running.is_led and running.finish()[1].quantizer == "coarse"


def test_a_file_that_cannot_be_run_is_out() -> None:
    specs = [TensorSpec(name, (1, 8), scale=0.1) for name in ("x", "y")]
    broken = tiny_models.build(specs, [OpSpec("COS", ["x"], ["y"])], ["x"], ["y"])
    running = race()
    running.enter(planted(lambda runs: broken, "broken"))
    running.enter(planted(lambda runs: b"no file at all", "damaged"))
    running.enter(planted(1 / 4, "coarse"))
    assert [candidate.fault is None for candidate in running.candidates] == [False, False, True]
    assert running.leader[1].quantizer == "coarse"


def test_a_file_that_answers_nan_is_out() -> None:
    specs = [TensorSpec(name, (1, 8), "float32") for name in ("x", "y")]
    nan = tiny_models.build(specs, [OpSpec("SQRT", ["x"], ["y"])], ["x"], ["y"])  # of negatives
    running = race()
    candidate = running.enter(planted(lambda runs: nan, "nan"))
    assert candidate.sqnr_db is None and "NaN" in candidate.fault
    running.enter(planted(1 / 4, "coarse"))
    assert running.leader[1].quantizer == "coarse"


def test_running_out_of_memory_is_no_fault_of_the_engine() -> None:
    def exhausted(runs: Sequence[int]) -> bytes:
        raise MemoryError

    with pytest.raises(MemoryError):
        race().enter(planted(exhausted))


def is_fine(model: TfliteModel) -> str | None:
    scale = float(model.tensors[0].quantization.scales[0])
    return "too fine" if scale < 1 / 32 else None


def test_a_fault_outweighs_the_score() -> None:
    running = race(is_fine)
    running.enter(planted(1 / 64, "faulty"))
    running.enter(planted(1 / 8, "sound"))
    assert running.candidates[0].fault == "too fine"
    assert running.candidates[0].sqnr_db > running.candidates[1].sqnr_db
    assert running.finish()[1].quantizer == "sound"


def test_if_all_have_a_fault_the_best_of_them_is_kept_with_it() -> None:
    running = race(is_fine)
    for scale in (1 / 40, 1 / 64, 1 / 50):
        running.enter(planted(scale, f"{scale}"))
    content, winner = running.finish()
    assert content == relu(1 / 64) and winner.fault == "too fine"


def test_if_no_engine_gives_a_file_all_reasons_are_told() -> None:
    def refuse(runs: Sequence[int]) -> bytes:
        raise RuntimeError("cannot")

    running = race()
    running.enter(planted(refuse, "one"))
    running.enter(planted(refuse, "other"))
    with pytest.raises(ConversionError, match="one: refused: cannot; other: refused: cannot"):
        running.finish()


def test_progress_is_told_by_candidate() -> None:
    told: list[int] = []
    running = Race(Judge(relu(), [X]), RUNS, lambda model: None, told.append)
    running.enter(planted(1 / 64))
    running.enter(planted(1 / 16))
    assert told == [1, 2]


class Recorder:
    """An engine that remembers its ranges."""

    name = "recorder"

    def __init__(self) -> None:
        self.ranges: list[dict[str, tuple[float, float]]] = []

    def quantize(self, ranges: dict[str, tuple[float, float]]) -> bytes:
        self.ranges.append(dict(ranges))
        return relu(1 / 64)


def test_an_engine_gets_the_ranges_of_the_chosen_runs_only() -> None:
    engine, statistics = Recorder(), statistics_of({"x": [[-1, 1], [-9, 9], [-2, 2]]})
    entry = contender(engine, "minmax", statistics)
    entry.build([0, 2])
    entry.build([0, 1, 2])
    assert engine.ranges == [{"x": (-2.0, 2.0)}, {"x": (-9.0, 9.0)}]
    assert (entry.quantizer, entry.ranges, entry.rounding) == ("recorder", "minmax", "nearest")


def test_every_method_gives_a_range_for_every_tensor() -> None:
    statistics = statistics_of({"a": [[-1, 2, 3]], "b": [[0, 1, 2]]})
    for method in RANGE_METHODS.values():
        assert set(method(statistics)) == {"a", "b"}
