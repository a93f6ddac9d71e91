"""Faults of every cause, planted in trained models of three kinds: named, with their layer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.verification.diagnosis import planting
from tests.verification.diagnosis.conftest import Patient
from tfgreen.data import Samples
from tfgreen.flatbuffer import TfliteModel, with_constants

Patients = Callable[[str], Patient]
KINDS = ("keyword", "residual", "attention")
COMPUTING = frozenset(planting.CHANNEL_AXES)


def computing_op(content: bytes, part: float) -> int:
    """The op with weights that lies this far into the model, 0..1."""
    ops = [op.index for op in TfliteModel.from_bytes(content).ops if op.name in COMPUTING]
    return ops[round(part * (len(ops) - 1))]


def output_of(content: bytes, op_index: int) -> int:
    return TfliteModel.from_bytes(content).ops[op_index].outputs[0]


@pytest.mark.parametrize("kind", KINDS)
def test_silent_on_the_healthy(patient: Patients, kind: str) -> None:
    healthy = patient(kind)
    diagnosis = healthy.diagnose(labels=True, kernel_sets=("xnnpack",))
    assert diagnosis.is_healthy
    assert diagnosis.culprit is diagnosis.cause is None
    assert diagnosis.sqnr_db is not None
    assert diagnosis.sqnr_db > 25
    assert diagnosis.float_accuracy is not None
    assert diagnosis.float_accuracy > 0.8


RANGES = [
    ("keyword", 0.2, 10.0),
    ("keyword", 0.8, 0.25),
    ("residual", 0.5, 20.0),
    ("residual", 0.1, 0.4),
    ("attention", 0.0, 8.0),
    ("attention", 0.9, 0.2),
]


@pytest.mark.parametrize(("kind", "part", "factor"), RANGES)
def test_a_wrong_range(patient: Patients, kind: str, part: float, factor: float) -> None:
    sound = patient(kind)
    op = computing_op(sound.content, part)
    diagnosis = sound.diagnose(
        planting.with_range(sound.content, output_of(sound.content, op), factor)
    )
    assert diagnosis.cause == ("range-too-wide" if factor > 1 else "range-too-narrow")
    assert diagnosis.faults[0].op_index == op
    if factor > 1:
        assert float(diagnosis.evidence["stored_over_true_width"]) > 0.5 * factor
    else:
        assert float(diagnosis.evidence["clipped_share"]) > 0.001


def without_a_channel(weights: np.ndarray, axis: int) -> np.ndarray:
    chosen = int(np.argsort(planting.reach(weights, axis))[weights.shape[axis] // 2])
    changed = np.moveaxis(weights.copy(), axis, 0)
    changed[chosen] = 0
    return np.moveaxis(changed, 0, axis)


def other_statistics(weights: np.ndarray, axis: int) -> np.ndarray:
    """As folded with another variance: a factor a channel."""
    shape = [1] * weights.ndim
    shape[axis] = -1
    factors = np.exp(np.random.default_rng(3).normal(0, 0.4, weights.shape[axis]))
    return np.asarray(weights * factors.reshape(shape))


WEIGHTS = [
    ("keyword", 0.5, "weight-width", {"largest_code": 7, "limit": 7}),
    ("residual", 0.0, "weight-width", {"largest_code": 7, "limit": 7}),
    ("attention", 1.0, "weight-width", {"largest_code": 3, "limit": 3}),
    ("keyword", 0.3, "dead-channel", {"change": without_a_channel}),
    ("residual", 0.4, "dead-channel", {"change": without_a_channel}),
    ("keyword", 0.7, "batch-normalization", {"change": other_statistics}),
    ("residual", 0.8, "batch-normalization", {"change": other_statistics}),
    ("residual", 0.2, "range-too-narrow", {"largest_code": 600}),
    ("keyword", 0.0, "weights-differ", {"change": np.flip}),
]


@pytest.mark.parametrize(("kind", "part", "cause", "change"), WEIGHTS)
def test_wrong_weights(
    patient: Patients, kind: str, part: float, cause: str, change: dict[str, object]
) -> None:
    sound = patient(kind)
    op = computing_op(sound.content, part)
    content = planting.with_weights(sound.content, op, **change)  # type: ignore[arg-type]
    diagnosis = sound.diagnose(content)
    assert (diagnosis.cause, diagnosis.faults[0].op_index) == (cause, op)
    assert diagnosis.faults[0].share_of_final_error is not None
    assert diagnosis.faults[0].share_of_final_error > 0.3


def test_wrong_moving_means(patient: Patients) -> None:
    sound = patient("keyword")
    op = computing_op(sound.content, 0.5)
    random = np.random.default_rng(0)
    content = planting.with_bias(
        sound.content, op, lambda bias: bias + random.normal(0, 2 * np.abs(bias).mean(), bias.shape)
    )
    diagnosis = sound.diagnose(content)
    assert (diagnosis.cause, diagnosis.faults[0].op_index) == ("batch-normalization", op)


def test_a_bias_that_does_not_fit_32_bits(patient: Patients) -> None:
    """Weights of one channel stored with a tiny scale, so that the bias saturates."""
    sound = patient("residual")
    op = computing_op(sound.content, 0.5)
    content = planting.with_tiny_scale(sound.content, op, channel=3)
    diagnosis = sound.diagnose(content)
    assert diagnosis.cause == "accumulator-overflow"
    assert diagnosis.faults[0].op_index == op


@pytest.mark.parametrize(("kind", "factor"), [("keyword", 255.0), ("residual", 1 / 255)])
def test_samples_scaled_by_the_caller(patient: Patients, kind: str, factor: float) -> None:
    sound = patient(kind)
    inputs = {
        name: (values * factor).astype(np.float32) for name, values in sound.samples.inputs.items()
    }
    diagnosis = sound.diagnose(samples=Samples(inputs, sound.samples.labels), labels=True)
    assert diagnosis.cause == "input-scaling"


def test_an_input_scale_that_is_not_the_models(patient: Patients) -> None:
    sound = patient("attention")
    index = TfliteModel.from_bytes(sound.content).inputs[0]
    diagnosis = sound.diagnose(planting.with_range(sound.content, index, 30.0))
    assert (diagnosis.cause, diagnosis.faults[0].op_index) == ("input-scaling", -1)


def test_calibration_unlike_the_samples(patient: Patients) -> None:
    """Every range from data of a quarter of the size."""
    sound = patient("keyword")
    content = sound.content
    model = TfliteModel.from_bytes(content)
    for index in (*model.inputs, *(op.outputs[0] for op in model.ops[:-1])):
        content = planting.with_range(content, index, 0.3)
    diagnosis = sound.diagnose(content)
    assert diagnosis.cause == "calibration-unlike-evaluation"
    assert len(diagnosis.faults) == 1
    told = sound.samples
    halved = Samples({name: values * 0.3 for name, values in told.inputs.items()})
    assert sound.diagnose(content, calibration=halved).cause == "calibration-unlike-evaluation"


def test_a_float_island(patient: Patients) -> None:
    sound = patient("keyword")
    diagnosis = sound.diagnose(planting.with_island(sound.content, 2))
    assert (diagnosis.cause, diagnosis.culprit) == ("float-island", "island1")


def test_a_chain_of_requantizations(patient: Patients) -> None:
    sound = patient("residual")
    diagnosis = sound.diagnose(planting.with_requantizations(sound.content, 8, (1.3, 1.0)))
    assert diagnosis.cause == "requantize-chain"
    assert diagnosis.faults[0].op_index == 9


def test_labels_of_other_samples(patient: Patients) -> None:
    sound = patient("residual")
    labels = np.random.default_rng(0).permutation(sound.samples.labels["y"])
    diagnosis = sound.diagnose(samples=Samples(sound.samples.inputs, {"y": labels}), labels=True)
    assert diagnosis.cause == "float-model-wrong"
    assert float(diagnosis.evidence["float_accuracy"]) <= float(diagnosis.evidence["chance"])


def test_a_float_model_that_is_not_a_number(patient: Patients) -> None:
    sound = patient("keyword")
    model = TfliteModel.from_bytes(sound.float_content)
    index = model.ops[3].inputs[1]
    weights = model.constant(index)
    weights.flat[0] = np.nan
    broken = with_constants(model, {index: weights})
    diagnosis = Patient(broken, sound.content, sound.samples, ()).diagnose()
    assert diagnosis.cause == "float-model-wrong"
    assert diagnosis.culprit == model.tensors[model.ops[3].outputs[0]].name


def test_another_models_file(patient: Patients) -> None:
    """The same architecture with other weights."""
    sound = patient("residual")
    model = TfliteModel.from_bytes(sound.float_content)
    random = np.random.default_rng(0)
    values = {}
    for op in model.ops:
        if op.name in COMPUTING:
            weights = model.constant(op.inputs[1])
            values[op.inputs[1]] = random.permutation(weights.ravel()).reshape(weights.shape)
    other = Patient(with_constants(model, values), sound.content, sound.samples, ())
    diagnosis = other.diagnose()
    assert diagnosis.cause == "another-model"
    assert len(diagnosis.faults) == 1


def test_two_faults_that_hide_each_other(patient: Patients) -> None:
    sound = patient("keyword")
    first, second = (computing_op(sound.content, part) for part in (0.2, 0.7))
    content = planting.with_range(sound.content, output_of(sound.content, second), 0.1)
    content = planting.with_weights(content, first, largest_code=3, limit=3)
    diagnosis = sound.diagnose(content)
    assert [(fault.cause, fault.op_index) for fault in diagnosis.faults] == [
        ("weight-width", first),
        ("range-too-narrow", second),
    ]
