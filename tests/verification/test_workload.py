"""What is run: which samples, in which order, in which dtype."""

from __future__ import annotations

import numpy as np
import pytest

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.data import Samples
from tfgreen.errors import InvalidDataError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.verification import workload as module
from tfgreen.verification.workload import Workload, random_inputs

CLASSIFIER = TfliteModel.from_bytes(tiny_models.int8_classifier())


def numbered(count: int, labelled: bool = True) -> Samples:
    """Sample number i holds the value i / 128 throughout, and has the label i."""
    values = np.arange(count, dtype=np.float32)[:, np.newaxis] / 128
    x = np.repeat(values, 16, axis=1)
    return Samples({"x": x}, {"scores": np.arange(count)} if labelled else {})


def numbers(workload: Workload) -> list[int]:
    """The numbers of the samples that run; the input's scale is 1/128."""
    return workload.inputs[0][:, 0, 0].tolist()


def test_evenly_spaced_samples_are_probed() -> None:
    workload = Workload.of(CLASSIFIER, numbered(101), None, 5)
    assert numbers(workload) == [0, 25, 50, 75, 100]
    assert (workload.probed_calls, workload.calls, workload.facts.count) == (5, 5, 5)
    assert workload.metric_facts is None
    assert workload.facts.origin == "given"


def test_the_same_data_run_once_with_the_probe_first() -> None:
    samples = numbered(100)
    workload = Workload.of(CLASSIFIER, samples, samples, 4)
    assert numbers(workload)[:4] == [0, 33, 66, 99]
    assert sorted(numbers(workload)) == list(range(100))
    assert numbers(workload)[4:] != sorted(numbers(workload)[4:])  # favours no class
    assert workload.labelled_from == 0
    assert workload.samples.labels["scores"].tolist() == numbers(workload)
    equal = Workload.of(CLASSIFIER, samples, numbered(100), 4)
    assert numbers(equal) == numbers(workload)


def test_other_metric_samples_come_after_the_probe() -> None:
    probe = Samples({"x": np.zeros((3, 16), np.float32)}, source="calibration")
    workload = Workload.of(CLASSIFIER, probe, numbered(50), 2)
    assert numbers(workload)[:2] == [0, 0]
    assert sorted(numbers(workload)[2:]) == list(range(50))
    assert workload.labelled_from == 2
    assert workload.samples.labels["scores"][2:].tolist() == numbers(workload)[2:]
    assert workload.metric_facts.count == 50


def test_metric_samples_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "METRIC_SAMPLE_LIMIT", 10)
    samples = numbered(100)
    assert Workload.of(CLASSIFIER, samples, samples, 4).calls <= 14
    assert Workload.of(CLASSIFIER, samples.head(7), samples, 4).calls == 14


def test_whole_batches() -> None:
    model = TfliteModel.from_bytes(tiny_models.int8_conv(batch=4))
    samples = Samples({"image": np.zeros((11, 6, 6, 3), np.float32)})
    workload = Workload.of(model, samples, None, 10)
    assert (workload.batch, workload.calls, workload.facts.count) == (4, 2, 8)
    with pytest.raises(InvalidDataError, match="do not fill batches of 4"):
        Workload.of(model, samples.head(3), None, 10)


def test_differently_named_inputs_are_refused() -> None:
    other = Samples({"y": np.zeros((3, 16), np.float32)}, source="test.npz")
    with pytest.raises(InvalidDataError, match="test.npz y"):
        Workload.of(CLASSIFIER, numbered(3), other, 2)


def test_made_up_inputs_cover_the_range_and_repeat() -> None:
    workload = Workload.of(CLASSIFIER, None, None, 64)
    assert workload.is_made_up
    assert workload.facts.origin == "random"
    assert (workload.calls, workload.facts.count) == (64, 64)
    assert workload.inputs[0].dtype == np.int8
    assert (workload.inputs[0].min(), workload.inputs[0].max()) == (-128, 127)
    again = Workload.of(CLASSIFIER, None, None, 64)
    assert again.facts.sha256 == workload.facts.sha256


def test_made_up_indices_stay_inside_their_table() -> None:
    tensors = [
        TensorSpec("ids", (1, 50), "int32"),
        TensorSpec("table", (3, 2), scale=0.1, data=np.zeros((3, 2), np.int8)),
        TensorSpec("rows", (1, 50, 2), scale=0.1),
    ]
    content = build(tensors, [OpSpec("GATHER", ["table", "ids"], ["rows"])], ["ids"], ["rows"])
    (ids,) = random_inputs(TfliteModel.from_bytes(content), 2)
    assert set(np.unique(ids)) == {0, 1, 2}


def test_made_up_floats_and_booleans() -> None:
    tensors = [TensorSpec("a", (1, 40), "float32"), TensorSpec("b", (1, 40), "bool")]
    tensors.append(TensorSpec("y", (1, 40), "float32"))
    ops = [OpSpec("SELECT", ["b", "a", "a"], ["y"])]
    floats, booleans = random_inputs(
        TfliteModel.from_bytes(build(tensors, ops, ["a", "b"], ["y"])), 3
    )
    assert floats.dtype == np.float32
    assert set(np.unique(booleans)) == {False, True}
