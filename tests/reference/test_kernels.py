"""Every kernel against LiteRT's reference kernels and TensorFlow Lite Micro, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from tests.reference.families import CONVOLUTIONS, FAMILIES, WRONG_THEMSELVES, drawn
from tests.reference.single_op import assert_equal, outcomes_on
from tfgreen.flatbuffer import TfliteModel
from tfgreen.reference import Interpreter, Rounding
from tfgreen.runtimes import availability

CASES_IN_CI = 20
CASES_OF_A_CONVOLUTION, CASES_OF_ANOTHER = 5000, 1000

ORACLES = [
    pytest.param("reference", "reference", id="reference"),
    pytest.param(
        "micro",
        "micro",
        id="micro",
        marks=pytest.mark.skipif(
            not availability("micro").available, reason="tflite-micro is not installed"
        ),
    ),
]


@pytest.mark.parametrize(("kernel_set", "rounding"), ORACLES)
def test_bit_exact(kernel_set: str, rounding: Rounding) -> None:
    """One child for all families."""
    families = [name for name in FAMILIES if (kernel_set, name) not in WRONG_THEMSELVES]
    cases = [one for name in families for one in drawn(FAMILIES[name], CASES_IN_CI)]
    ran = assert_equal(cases, kernel_set, rounding)
    assert ran > 0.75 * len(cases)


@pytest.mark.slow
@pytest.mark.parametrize(("kernel_set", "rounding"), ORACLES)
@pytest.mark.parametrize("family", FAMILIES)
def test_bit_exact_at_length(family: str, kernel_set: str, rounding: Rounding) -> None:
    if (kernel_set, family) in WRONG_THEMSELVES:
        pytest.skip("follows no rule")
    count = CASES_OF_A_CONVOLUTION if family in CONVOLUTIONS else CASES_OF_ANOTHER
    assert_equal(drawn(FAMILIES[family], count), kernel_set, rounding)


def test_within_a_quantum_of_xnnpack() -> None:
    cases = [one for name in FAMILIES for one in drawn(FAMILIES[name], 10)]
    for one, outcome in zip(cases, outcomes_on("xnnpack", cases), strict=True):
        model = TfliteModel.from_bytes(one.content)
        if outcome.status != "ok" or model.ops[0].name == "SUM":
            continue
        given = Interpreter(one.content, "xnnpack").run(one.inputs)
        for mine, theirs in zip(given, outcome.outputs, strict=True):
            if theirs.dtype != np.float32:
                step = np.abs(mine.astype(np.int64) - theirs).max(initial=0)
                assert step <= 1, one.told
