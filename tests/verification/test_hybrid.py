"""The quantum of ops that quantize their input while they run."""

from __future__ import annotations

import numpy as np
import pytest

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.flatbuffer import TfliteModel
from tfgreen.runtimes import Task, run_tasks
from tfgreen.verification.hybrid import hybrid_quantum, is_hybrid
from tfgreen.verification.op_trial import OpTrial


def dense(weights: np.ndarray, scale: float) -> TfliteModel:
    units, inputs = weights.shape
    tensors = [
        TensorSpec("x", (1, inputs), "float32"),
        TensorSpec("w", weights.shape, scale=scale, data=weights),
        TensorSpec("y", (1, units), "float32"),
    ]
    ops = [OpSpec("FULLY_CONNECTED", ["x", "w", ""], ["y"], version=3)]
    return TfliteModel.from_bytes(build(tensors, ops, ["x"], ["y"]))


def test_known_value() -> None:
    # Rows of length 5 and 13 at scale 0.1; the input reaches 12.7, so that its step is 0.1.
    model = dense(np.array([[3, 4], [5, 12]], np.int8), 0.1)
    given = np.array([[[-12.7, 1.0]]], np.float32)
    quantum = hybrid_quantum(model, model.ops[0], given, np.zeros(2))
    assert quantum == pytest.approx(2 * 0.1 * 13 * 0.1)


def test_what_is_hybrid() -> None:
    model = dense(np.ones((2, 2), np.int8), 0.1)
    assert is_hybrid(model, model.ops[0])
    for content in (tiny_models.int8_classifier(), tiny_models.float_classifier()):
        sound = TfliteModel.from_bytes(content)
        assert not any(is_hybrid(sound, op) for op in sound.ops)


def test_no_input_no_quantum() -> None:
    model = dense(np.ones((2, 2), np.int8), 0.1)
    assert hybrid_quantum(model, model.ops[0], np.zeros((1, 1, 2)), np.zeros(2)) is None


def test_kernel_sets_stay_within_one_quantum_though_far_beyond_float_rounding() -> None:
    rng = np.random.default_rng(0)
    model = dense(rng.integers(-127, 128, (16, 256), np.int8), 0.01)
    x = rng.standard_normal((64, 1, 256)).astype(np.float32)
    results = {
        name: run_tasks(name, [Task("dense", model.content, (x,))])[0].outputs[0]
        for name in ("optimized", "xnnpack")
    }
    apart = np.abs(results["optimized"] - results["xnnpack"]).max()
    quantum = hybrid_quantum(model, model.ops[0], x, results["optimized"])
    assert quantum is not None
    assert 0.1 < apart / quantum < 1
    assert apart / np.ptp(results["optimized"]) > 50e-5


def test_the_largest_portion_sets_the_quantum() -> None:
    """As the whole would: inputs up to 1.27 and then up to 12.7, outputs 0.01 off."""
    model = dense(np.array([[3, 4]], np.int8), 0.01)
    trial = OpTrial.of(model, model.ops[0], model, model.ops[0])
    for largest in (1.27, 12.7, 0.0):
        truth = np.zeros((1, 1, 1), np.float32)
        results = {"optimized": (truth,), "xnnpack": (truth + np.float32(0.01),)}
        trial.add(results, np.array([[[largest, 0.0]]], np.float32))
    quantum = 2 * 0.1 * 5 * 0.01  # the step of 12.7 is 0.1
    assert trial.result("xnnpack", 1).max_quanta == pytest.approx(0.01 / quantum)
