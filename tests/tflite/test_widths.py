"""Files of mixed width: what runs them, and which layers the search makes wide."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tflite.chained_networks import RELU, images, separable
from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.data import Samples
from tfgreen.flatbuffer import TfliteModel
from tfgreen.reference import Interpreter
from tfgreen.runtimes import KERNEL_SETS, Task, availability, quantize_inputs, run_tasks
from tfgreen.tflite.ranges import minmax_ranges
from tfgreen.tflite.selection import Judge
from tfgreen.tflite.statistics import collect_statistics
from tfgreen.tflite.widths import Goal, Mixer, Searching, Unit, activation_units, weight_units

CONTENT = separable(RELU, (1.0, 1.0))
RUNS = images(24)


@pytest.fixture(scope="module")
def mixer() -> Mixer:
    return Mixer(CONTENT, "int8", minmax_ranges(collect_statistics(CONTENT, [RUNS])))


def test_sixteen_bits_among_eight_run_everywhere(mixer: Mixer) -> None:
    """QUANTIZE ops stand between; every kernel set and the NumPy interpreter agree."""
    content = mixer.build(("depthwise", "pooled"))
    model = TfliteModel.from_bytes(content)
    dtypes = {model.tensors[op.outputs[0]].name: model.tensors[op.outputs[0]].dtype
              for op in model.ops}  # fmt: skip
    assert dtypes["conv"] == "int8"
    assert dtypes["depthwise"] == dtypes["pooled"] == "int16"
    assert [op.name for op in model.ops].count("QUANTIZE") == 2
    samples = Samples({model.input_names[0]: RUNS[:, 0]})
    inputs = quantize_inputs(model, samples)
    expected = Interpreter(content).run(inputs)[0].astype(int)
    for kernel_set in KERNEL_SETS:
        if not availability(kernel_set).available:
            continue
        (outcome,) = run_tasks(kernel_set, [Task("mixed", content, inputs)])
        assert outcome.ok, outcome.message
        assert np.abs(outcome.outputs[0].astype(int) - expected).max() <= 2, kernel_set


def test_units_are_an_activation_with_all_that_touch_it(mixer: Mixer) -> None:
    model = TfliteModel.from_bytes(CONTENT)
    units = activation_units(model, TfliteModel.from_bytes(mixer.build(())))
    assert [(unit.tensor, unit.ops) for unit in units] == [
        ("conv", ("conv", "depthwise")),
        ("depthwise", ("depthwise", "pooled")),
        ("pooled", ("pooled", "flat")),
        ("flat", ("flat", "y")),
    ]


class PlannedJudge(Judge):
    """The SQNR is what the wide tensors are worth; nothing runs."""

    worth = {"conv": 6.0, "depthwise": 1.0, "pooled": 3.0}

    def __init__(self) -> None:
        pass

    def sqnr_and_agreement(self, model: TfliteModel, runs: object) -> tuple[float, float]:
        wide = {tensor.name for tensor in model.tensors if tensor.dtype == "int16"}
        return 10 + sum(value for name, value in self.worth.items() if name in wide), 1.0


class Named(Mixer):
    """A file per set of wide ops, without any quantizer."""

    def __init__(self) -> None:
        pass

    def build(self, wide: object) -> bytes:
        names = ["conv", "depthwise", "pooled"]
        tensors = [
            TensorSpec(name, (1,), "int16" if name in wide else "int8", 1.0)  # type: ignore[operator]
            for name in names
        ]
        ops = [OpSpec("RELU", [a], [b]) for a, b in zip(names, names[1:], strict=False)]
        return build(tensors, ops, ["conv"], ["pooled"])


def searching() -> Searching:
    return Searching(
        Named(), PlannedJudge(), range(4), lambda model: None, bytes, lambda done, of: None
    )


UNITS = tuple(Unit(name, "CONV_2D", (name,)) for name in ("conv", "depthwise", "pooled"))


def test_every_unit_alone_is_measured_as_a_share_of_the_error() -> None:
    """6 dB less error is a quarter of its power: three quarters are taken away."""
    gains = {unit.tensor: unit.gain for unit in searching().measured(UNITS)}
    assert gains["conv"] == pytest.approx(1 - 10**-0.6, abs=1e-4)
    assert gains["pooled"] == pytest.approx(1 - 10**-0.3, abs=1e-4)


def test_a_unit_that_cannot_be_widened_is_told_and_left_narrow() -> None:
    class Refusing(Named):
        def build(self, wide: object) -> bytes:
            if "conv" in wide:  # type: ignore[operator]
                raise ValueError("no wide version")
            return super().build(wide)

    search = Searching(
        Refusing(),
        PlannedJudge(),
        range(4),
        lambda model: "a fault" if model.tensors[1].dtype == "int16" else None,
        bytes,
        lambda done, of: None,
    )
    units = search.measured(UNITS)
    hindrances = ["ValueError: no wide version", "a fault", ""]
    assert [unit.hindrance for unit in units] == hindrances
    assert search.search(units, Goal(12.0, 0.9)).wide == ("pooled",)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (10.0, ()),
        (15.0, ("conv",)),
        (18.5, ("conv", "pooled")),
        (20.0, ("conv", "depthwise", "pooled")),
    ],
)
def test_the_smallest_set_that_meets_the_goal(limit: float, expected: tuple[str, ...]) -> None:
    search = searching()
    found = search.search(search.measured(UNITS), Goal(limit, 0.9))
    assert found.reached
    assert set(found.wide) == set(expected)


def test_a_goal_out_of_reach_is_told() -> None:
    search = searching()
    found = search.search(search.measured(UNITS), Goal(50.0, 0.9))
    assert not found.reached
    assert found.sqnr_db == 20.0


def test_4_and_8_bits_under_a_budget() -> None:
    """The largest file that fits, filled with the layers that gain most a byte."""
    mixer = Mixer(CONTENT, "weights-int4", {})
    judge = Judge(CONTENT, [RUNS])
    search = Searching(mixer, judge, range(24), lambda m: None, bytes, lambda done, of: None)
    narrow = mixer.build(())
    units = search.measured(weight_units(TfliteModel.from_bytes(CONTENT),
                                         TfliteModel.from_bytes(narrow)))  # fmt: skip
    assert {unit.tensor for unit in units} == {"conv", "y"}
    everything = mixer.build(("conv", "y"))
    budget = len(everything) - 1
    found = search.search(units, Goal(0.0, 0.0, budget))
    assert len(narrow) <= len(found.content) <= budget
    assert found.sqnr_db > judge.sqnr_and_agreement(TfliteModel.from_bytes(narrow), range(24))[0]
    assert len(found.wide) == 1
