"""The first culprit, against layers that were broken on purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from tests.certificates import certificate_of
from tests.tiny_models import OpSpec, TensorSpec, build
from tests.verification.diagnosis import planting
from tests.verification.diagnosis.conftest import Patient
from tfgreen.flatbuffer import TfliteModel
from tfgreen.inspection.tflite_file import inspect_tflite
from tfgreen.reporting.page.layers import first_culprit, layer_lines
from tfgreen.reporting.page.record import Culprit
from tfgreen.runtimes import Task, quantize_inputs, run_tasks
from tfgreen.verification.certificate import Certificate, LayerFidelity
from tfgreen.verification.layers import LayerTrial


def culprit_of(content: bytes, sqnr_db: Mapping[str, float | None]) -> Culprit | None:
    certificate = certificate_of(content).model_copy(
        update={
            "layers": tuple(
                LayerFidelity(tensor=name, op="RELU", sqnr_db=ratio, ideal_sqnr_db=50.0)
                for name, ratio in sqnr_db.items()
            )
        }
    )
    model = TfliteModel.from_bytes(content)
    return first_culprit(model, layer_lines(model, inspect_tflite(content), certificate))


def chain(*names: str) -> bytes:
    tensors = [TensorSpec(name, (1, 4), scale=0.1) for name in names]
    ops = [OpSpec("RELU", [a], [b]) for a, b in zip(names, names[1:], strict=False)]
    return build(tensors, ops, names[:1], names[-1:])


def test_the_layer_after_which_noise_is_tenfold() -> None:
    content = chain("x", "a", "b", "c", "d")
    found = culprit_of(content, {"a": 40.0, "b": 38.0, "c": 28.0, "d": 27.5})
    assert found is not None
    assert (found.index, found.fed_sqnr_db, found.sqnr_db) == (2, 38.0, 28.0)
    assert found.message == "RELU 'c' comes from 38.0 dB and leaves with 28.0 dB."


def test_the_first_of_two() -> None:
    """27 dB is .0020 of noise; at 30 dB half of it has come, at 27 dB the other half."""
    found = culprit_of(chain("x", "a", "b", "c"), {"a": 40.0, "b": 29.5, "c": 27.0})
    assert found is not None and found.index == 1


def test_noise_that_grows_evenly_has_no_culprit() -> None:
    names = ["x", *"abcdefgh"]
    even = {name: 30.0 - number for number, name in enumerate(names[1:])}
    assert culprit_of(chain(*names), {**even, "a": 33.0}) is None
    assert culprit_of(chain(*names), {}) is None
    assert culprit_of(chain(*names), dict.fromkeys(names[1:])) is None


def test_a_layer_that_nobody_compared_is_passed_by() -> None:
    found = culprit_of(chain("x", "a", "b", "c"), {"a": 40.0, "c": 20.0})
    assert found is not None
    assert (found.index, found.fed_sqnr_db) == (2, 40.0)


def test_a_weak_branch_of_a_sum_is_no_culprit() -> None:
    """The noisy branch hardly counts in the sum; the noise comes from the op after it."""
    names = ("x", "main", "weak", "sum", "out")
    ops = [
        OpSpec("RELU", ["x"], ["main"]),
        OpSpec("RELU", ["x"], ["weak"]),
        OpSpec("ADD", ["weak", "main"], ["sum"]),
        OpSpec("RELU", ["sum"], ["out"]),
    ]
    content = build([TensorSpec(name, (1, 4), scale=0.1) for name in names], ops, ["x"], ["out"])
    found = culprit_of(content, {"main": 40.0, "weak": 5.0, "sum": 38.0, "out": 20.0})
    assert found is not None and found.index == 3


def test_a_branch_of_a_sum_that_brings_the_noise() -> None:
    names = ("x", "main", "broken", "sum")
    ops = [
        OpSpec("RELU", ["x"], ["main"]),
        OpSpec("RELU", ["x"], ["broken"]),
        OpSpec("ADD", ["main", "broken"], ["sum"]),
    ]
    content = build([TensorSpec(name, (1, 4), scale=0.1) for name in names], ops, ["x"], ["sum"])
    found = culprit_of(content, {"main": 34.0, "broken": 5.0, "sum": 8.5})
    assert found is not None and found.name == "broken"


def measured(content: bytes, sound: Patient) -> Certificate:
    """The layers of a file as a certificate has them, of eight samples."""
    model, float_model = map(TfliteModel.from_bytes, (content, sound.float_content))
    samples = sound.samples.head(8)
    tasks = [
        Task("file", content, quantize_inputs(model, samples), "all"),
        Task("float", sound.float_content, quantize_inputs(float_model, samples), "all"),
    ]
    ours, theirs = run_tasks("optimized", tasks)
    trial = LayerTrial(model, float_model)
    trial.add(ours.tensors, theirs.tensors)
    return certificate_of(content).model_copy(update={"layers": trial.results()})


PLANTED = [("keyword", 3, 30.0), ("keyword", 6, 0.05), ("residual", 5, 40.0), ("residual", 2, 40.0)]


@pytest.mark.parametrize(("kind", "op", "factor"), PLANTED)
def test_a_range_that_was_broken_on_purpose(
    patient: Callable[[str], Patient], kind: str, op: int, factor: float
) -> None:
    sound = patient(kind)
    index = TfliteModel.from_bytes(sound.content).ops[op].outputs[0]
    content = planting.with_range(sound.content, index, factor)
    certificate = measured(content, sound)
    model = TfliteModel.from_bytes(content)
    found = first_culprit(model, layer_lines(model, inspect_tflite(content), certificate))
    assert found is not None and found.index == op
