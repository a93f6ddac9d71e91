"""The NumPy interpreter as a kernel set: in a child, whole batches, with any rounding."""

from __future__ import annotations

import numpy as np
import pytest

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.flatbuffer import TfliteModel, cut_op
from tfgreen.reference import Interpreter, Rounding
from tfgreen.runtimes import Task, availability, run_tasks

CLASSIFIER = tiny_models.int8_classifier()
X = np.random.default_rng(7).integers(-128, 128, (33, 1, 16), np.int8)


def test_it_is_always_there() -> None:
    assert availability("numpy").available


def test_every_tensor_is_that_of_the_reference_kernels() -> None:
    task = Task("all", CLASSIFIER, (X,), capture="all")
    (mine,), (theirs,) = run_tasks("numpy", [task]), run_tasks("reference", [task])
    assert mine.ok and sorted(mine.tensors) == sorted(theirs.tensors)
    for index, values in theirs.tensors.items():
        np.testing.assert_array_equal(mine.tensors[index], values)
    np.testing.assert_array_equal(mine.outputs[0], theirs.outputs[0])


def test_the_largest_sum_is_told() -> None:
    dense = cut_op(TfliteModel.from_bytes(CLASSIFIER), 0)
    (outcome,) = run_tasks("numpy", [Task("dense", dense, (X,))])
    weights, bias = (TfliteModel.from_bytes(CLASSIFIER).constant(index) for index in (1, 2))
    sums = X[:, 0].astype(np.int64) @ weights.T.astype(np.int64) + bias
    assert outcome.peak_accumulator == np.abs(sums).max()
    (outcome,) = run_tasks("reference", [Task("all", CLASSIFIER, (X,))])
    assert outcome.peak_accumulator is None


@pytest.mark.parametrize("rounding", ["reference", "micro", "xnnpack"])
def test_each_task_has_its_own_rounding(rounding: Rounding) -> None:
    """An int8 RELU6 that rescales: TensorFlow Lite Micro does not."""
    tensors = [TensorSpec("x", (1, 4), scale=0.0001), TensorSpec("y", (1, 4), scale=0.00003)]
    content = build(tensors, [OpSpec("RELU6", ["x"], ["y"])], ["x"], ["y"])
    x = np.full((1, 1, 4), 89, np.int8)
    (outcome,) = run_tasks("numpy", [Task("relu6", content, (x,), rounding=rounding)])
    np.testing.assert_array_equal(outcome.outputs[0], Interpreter(content, rounding).run([x])[0])
    assert outcome.outputs[0][0, 0, 0] == (89 if rounding == "micro" else 127)


def test_what_it_lacks_is_unregistered_and_what_is_damaged_refused() -> None:
    x = np.zeros((1, 1, 4), np.float32)
    broken = TensorSpec("y", (1, 4), scale=float("nan"))
    damaged = build(
        [TensorSpec("x", (1, 4), scale=0.1), broken],
        [OpSpec("RELU6", ["x"], ["y"])],
        ["x"],
        ["y"],
    )
    tasks = [
        Task("custom", tiny_models.custom_op(), (x,)),
        Task("damaged", damaged, (x.astype(np.int8),)),
        Task("other input", CLASSIFIER, (x,)),
        Task("sound", CLASSIFIER, (X,)),
    ]
    missing, refused, misfit, sound = run_tasks("numpy", tasks)
    assert missing.status == "unregistered" and "has no kernel for" in missing.message
    assert refused.status == "failed" and "scale" in refused.message
    assert misfit.status == "failed" and "The model takes" in misfit.message
    assert sound.ok
