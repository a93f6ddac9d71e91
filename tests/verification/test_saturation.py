"""The audit of saturated values and accumulators in the certificate, against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.data import Samples
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import load_profile
from tfgreen.reference.saturation import Saturation, TensorAudit
from tfgreen.verification import Certificate, certify, evidence
from tfgreen.verification.certificate import TensorSaturation
from tfgreen.verification.saturation import SaturationTrial, findings

X = np.random.default_rng(0).uniform(-1, 1, (32, 16)).astype(np.float32)


def dense(output_scale: float, activation: int = 0, zero_point: int = 0) -> bytes:
    """x (1, 16) times ones of scale 1, without a bias: y is the sum of x."""
    tensors = [
        TensorSpec("x", (1, 16), scale=1 / 128),
        TensorSpec("weights", (1, 16), scale=[1.0], data=np.ones((1, 16), np.int8)),
        TensorSpec("bias", (1,), "int32", scale=[1 / 128], data=np.zeros(1, np.int32)),
        TensorSpec("y", (1, 1), scale=output_scale, zero_point=zero_point),
    ]
    options = {"fusedActivationFunction": activation}
    op = OpSpec("FULLY_CONNECTED", ["x", "weights", "bias"], ["y"], options, version=5)
    return build(tensors, [op], ["x"], ["y"])


def judge(content: bytes, profile: str = "mobile-int8", given: bool = True) -> Certificate:
    samples = Samples({"x": X}) if given else None
    return certify(content, load_profile(profile), samples=samples, sample_limit=32)


def audited(certificate: Certificate) -> dict[str, TensorSaturation]:
    return {one.tensor: one for one in certificate.saturation}


@pytest.mark.parametrize("profile", ["mobile-int8", "coral-edgetpu-int8"])
def test_shares_and_head_room(profile: str) -> None:
    stored = np.clip(np.round(X * 128), -128, 127)
    sums = stored.sum(axis=1)
    found = audited(judge(dense(0.01), profile))
    real = sums / 128 / 0.01
    assert found["y"].highest_share == np.mean(np.round(real) >= 127)
    assert found["y"].lowest_share == np.mean(np.round(real) <= -128)
    assert found["y"].clipped_share == found["y"].highest_share + found["y"].lowest_share > 0.3
    assert found["y"].headroom_bits == pytest.approx(31 - np.log2(np.abs(sums).max()), abs=1e-3)
    assert found["x"].clipped_share is None, "inputs are the samples' affair"


def test_portions_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = judge(tiny_models.int8_classifier())
    monkeypatch.setattr(evidence, "PORTION_BYTES", 200)
    assert judge(tiny_models.int8_classifier()).saturation == whole.saturation


@pytest.mark.parametrize(
    ("output_scale", "activation", "zero_point", "loss"),
    [
        (0.01, 0, 0, "both"),
        (0.01, 0, -128, "both"),  # a range from zero clips what is negative
        (0.01, 1, -128, "high"),  # the zeros of a RELU are no loss
        (6 / 255, 3, -128, "none"),  # nor are the sixes of a RELU6
        (2 / 255, 3, -128, "high"),  # but the twos are, where its range ends there
        (1 / 127, 2, 0, "none"),  # RELU_N1_TO_1
        (0.5 / 127, 2, 0, "both"),  # which has more than this range shows
    ],
)
def test_ends_that_an_activation_has_are_no_loss(
    output_scale: float, activation: int, zero_point: int, loss: str
) -> None:
    model = TfliteModel.from_bytes(dense(output_scale, activation, zero_point))
    trial = SaturationTrial(model)
    values = np.array([-128, -128, -128, 0, 127, 127], np.int8).reshape(6, 1, 1)
    trial.add({model.outputs[0]: values})
    (result,) = trial.results({})
    expected = {"both": 5 / 6, "high": 2 / 6, "none": 0.0}[loss]
    assert result.clipped_share == pytest.approx(expected)
    assert result.headroom_bits is None


ACTIVATIONS = [
    ("HARD_SWISH", 0, 0.01, -90, False),  # from -0.38: all that a HARD_SWISH has
    ("HARD_SWISH", 0, 0.001, -128, True),
    ("GELU", 0, 0.01, -128, True),
    ("ELU", 0, 1 / 127, 0, False),
    ("ABS", 0, 0.01, -128, False),
    ("RELU", 0, 0.01, -128, False),
    ("QUANTIZE", -128, 0.01, -128, False),  # nothing below zero comes in
    ("QUANTIZE", 0, 0.01, -128, True),
]


@pytest.mark.parametrize(("op", "given", "scale", "zero_point", "is_loss"), ACTIVATIONS)
def test_the_floor_of_an_op(
    op: str, given: int, scale: float, zero_point: int, is_loss: bool
) -> None:
    tensors = [
        TensorSpec("x", (1, 4), scale=0.02, zero_point=given),
        TensorSpec("y", (1, 4), scale=scale, zero_point=zero_point),
    ]
    model = TfliteModel.from_bytes(build(tensors, [OpSpec(op, ["x"], ["y"])], ["x"], ["y"]))
    trial = SaturationTrial(model)
    trial.add({model.outputs[0]: np.array([[-128, -128, 0, 1]], np.int8)[np.newaxis]})
    (result,) = trial.results({})
    assert result.clipped_share == (0.5 if is_loss else 0.0)


def entry(clipped: float | None = 0.0, bits: float | None = None) -> TensorSaturation:
    return TensorSaturation(
        tensor="y", op="CONV_2D", lowest_share=0.0, highest_share=clipped or 0.0,
        clipped_share=clipped, headroom_bits=bits,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("result", "made_up", "name", "status", "words"),
    [
        (entry(0.2), False, "saturation", "warning", "CONV_2D 'y' with 20.00 %"),
        (entry(0.2), False, "saturation", "warning", "1 tensor of 1 loses more than 1 % of its"),
        (entry(0.005), False, "saturation", "passed", "0 tensors of 1 lose more than 1 %"),
        (entry(0.2), True, "saturation", "skipped", "made up"),
        (entry(0.0, 9.25), False, "accumulators", "passed", "has 9.2 bits left"),
        (entry(0.0, 0.5), False, "accumulators", "warning", "twice as large"),
        (entry(0.0, -0.5), False, "accumulators", "failed", "overflows"),
        (entry(0.0, -0.5), True, "accumulators", "warning", "overflows"),
    ],
)
def test_findings(
    result: TensorSaturation, made_up: bool, name: str, status: str, words: str
) -> None:
    (check,) = [check for check in findings((result,), made_up) if check.name == name]
    assert check.status == status
    assert words in check.message


def test_no_findings_where_nothing_was_seen() -> None:
    assert not list(findings((entry(None),), False))


def test_they_are_in_the_kernels_gate() -> None:
    certificate = judge(dense(0.01))
    (check,) = [check for check in certificate.warnings if check.name == "saturation"]
    assert check.gate == "kernels" and "with more data like them" in check.message
    made_up = judge(dense(0.01), given=False)
    assert "saturation" not in {check.name for check in made_up.warnings}


@pytest.mark.parametrize(
    ("peak", "bits", "expected"),
    [
        ((1 << 31) - 1, 32, 0.0),
        (1 << 31, 32, -0.001),
        ((1 << 31) + 1, 32, -0.001),
        (1 << 32, 32, -1.0),
        (3, 32, 29.415),
        (0, 32, 31.0),
        ((1 << 63) - 1, 64, 0.0),
        (1 << 63, 64, -0.001),
    ],
)
def test_an_overflow_by_one_is_one(peak: int, bits: int, expected: float) -> None:
    assert TensorAudit(0, "y", "CONV_2D", 0, 0, peak, bits).headroom_bits == expected
    (check,) = [c for c in findings((entry(0.0, expected),), False) if c.name == "accumulators"]
    assert (check.status == "failed") == (peak >> (bits - 1) > 0)


@pytest.mark.parametrize(("op", "bits"), [("SUM", 32), ("MEAN", 32), ("FULLY_CONNECTED", 64)])
def test_the_width_of_16_bit_sums(op: str, bits: int) -> None:
    tensors = [
        TensorSpec("x", (1, 8), "int16", scale=0.1),
        TensorSpec("other", (1,), "int32", data=np.array([1], np.int32)),
        TensorSpec("y", (1,), "int16", scale=0.1),
    ]
    model = TfliteModel.from_bytes(
        build(tensors, [OpSpec(op, ["x", "other"], ["y"])], ["x"], ["y"])
    )
    assert Saturation().audit(model, model.outputs[0], 1).accumulator_bits == bits
