"""Faults in graphs made by hand: masks, wrong kernels, swapped inputs, foreign files."""

from __future__ import annotations

import numpy as np
import pytest

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec, build
from tests.verification.diagnosis.conftest import Patient
from tfgreen.data import Samples
from tfgreen.errors import UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel, logits
from tfgreen.verification.diagnosis.steps import Workbench

RANDOM = np.random.default_rng(5)
KEYS, CLASSES, SAMPLES = 16, 4, 32
WEIGHTS = RANDOM.normal(0, 1, (CLASSES, KEYS)).astype(np.float32)


def patient(float_content: bytes, content: bytes, **inputs: np.ndarray) -> Patient:
    return Patient(float_content, content, Samples(inputs), ())


def masked_attention(lowest: float) -> Patient:
    """Scores plus a mask, a softmax, and what reads it."""
    mask = np.where(np.arange(KEYS) < KEYS // 2, 0.0, lowest).astype(np.float32)[None]
    ops = [
        OpSpec("ADD", ["scores", "mask"], ["masked"]),
        OpSpec("SOFTMAX", ["masked"], ["weights"], {"beta": 1.0}),
        OpSpec("FULLY_CONNECTED", ["weights", "kernel"], ["out"]),
    ]
    reals = [
        TensorSpec("scores", (1, KEYS), "float32"),
        TensorSpec("mask", (1, KEYS), "float32", data=mask),
        TensorSpec("masked", (1, KEYS), "float32"),
        TensorSpec("weights", (1, KEYS), "float32"),
        TensorSpec("kernel", (CLASSES, KEYS), "float32", data=WEIGHTS),
        TensorSpec("out", (1, CLASSES), "float32"),
    ]
    step = float(np.abs(WEIGHTS).max()) / 127
    stored = [
        TensorSpec("scores", (1, KEYS), scale=0.03),
        TensorSpec(
            "mask", (1, KEYS), scale=-lowest / 127, data=np.round(mask / -lowest * 127).astype("i1")
        ),
        TensorSpec("masked", (1, KEYS), scale=(8 - lowest) / 255, zero_point=_zero(lowest)),
        TensorSpec("weights", (1, KEYS), scale=1 / 256, zero_point=-128),
        TensorSpec(
            "kernel", (CLASSES, KEYS), scale=step, data=np.round(WEIGHTS / step).astype("i1")
        ),
        TensorSpec("out", (1, CLASSES), scale=0.011),
    ]
    contents = [build(tensors, ops, ["scores"], ["out"]) for tensors in (reals, stored)]
    scores = RANDOM.uniform(-3.8, 3.8, (SAMPLES, KEYS)).astype(np.float32)
    return patient(*contents, scores=scores)


def _zero(lowest: float) -> int:
    return round(127 - 4 / ((8 - lowest) / 255))


@pytest.mark.parametrize("lowest", [-1e9, -1e4])
def test_a_mask_that_owns_a_range(lowest: float) -> None:
    diagnosis = masked_attention(lowest).diagnose()
    assert (diagnosis.cause, diagnosis.culprit) == ("constant-owns-range", "masked")
    assert diagnosis.evidence["constant"] == lowest


def test_a_small_mask_is_no_fault() -> None:
    assert masked_attention(-12.0).diagnose().is_healthy


def summed() -> Patient:
    """A sum over rows: the reference kernels compute int8 SUM wrongly."""
    ops = [OpSpec("SUM", ["x", "axes"], ["total"], {"keepDims": False})]
    axes = TensorSpec("axes", (1,), "int32", data=np.array([1], np.int32))
    reals = [TensorSpec("x", (1, 8, 8), "float32"), axes, TensorSpec("total", (1, 8), "float32")]
    stored = [
        TensorSpec("x", (1, 8, 8), scale=0.02),
        axes,
        TensorSpec("total", (1, 8), scale=0.12),
    ]
    contents = [build(tensors, ops, ["x"], ["total"]) for tensors in (reals, stored)]
    return patient(*contents, x=RANDOM.uniform(-2.5, 2.5, (SAMPLES, 8, 8)).astype(np.float32))


def test_a_kernel_that_is_wrong_on_one_runtime() -> None:
    sound = summed()
    assert sound.diagnose(kernel_sets=("xnnpack",)).is_healthy
    diagnosis = sound.diagnose(kernel_sets=("reference",))
    assert (diagnosis.cause, diagnosis.culprit) == ("kernel-difference", "total")
    assert diagnosis.evidence["kernel_set"] == "reference"


def difference(first: str, second: str, *, real: bool) -> bytes:
    """first - second, with the graph's inputs named in this order."""
    kinds = {"dtype": "float32"} if real else {"scale": 0.02}
    tensors = [TensorSpec(name, (1, 8), **kinds) for name in ("one", "other", "out")]  # type: ignore[arg-type]
    if not real:
        tensors[2] = TensorSpec("out", (1, 8), scale=0.04)
    signature = ({first: "one", second: "other"}, {"out": "out"})
    return build(
        tensors, [OpSpec("SUB", ["one", "other"], ["out"])], ["one", "other"], ["out"], signature
    )


def test_swapped_inputs() -> None:
    inputs = {
        name: RANDOM.uniform(-2.4, 2.4, (SAMPLES, 8)).astype(np.float32) for name in ("a", "b")
    }
    right = difference("a", "b", real=False)
    wrong = difference("b", "a", real=False)
    real = difference("a", "b", real=True)
    assert patient(real, right, **inputs).diagnose().is_healthy
    assert patient(real, wrong, **inputs).diagnose().cause == "swapped-inputs"


def test_a_file_of_other_inputs_is_refused() -> None:
    scores = masked_attention(-12.0)
    mixed = Patient(scores.float_content, summed().content, scores.samples, ())
    with pytest.raises(UnsupportedModelError, match="the model that the file was made from"):
        mixed.diagnose()


def test_the_end_is_judged_at_the_output_where_the_logits_are_not_known() -> None:
    """Else a file without a known end would have no error at all."""
    float_model = TfliteModel.from_bytes(tiny_models.float_classifier())
    model = TfliteModel.from_bytes(tiny_models.int8_classifier())
    (logit,), (output,) = logits(model), model.outputs
    assert logit != output
    assert Workbench(float_model, model, {logit, output}).final == (logit,)
    assert Workbench(float_model, model, {output}).final == (output,)
    assert Workbench(float_model, model, set()).final == ()
