"""Every kernel against LiteRT's reference kernels and TensorFlow Lite Micro, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.reference.families import CONVOLUTIONS, FAMILIES, WRONG_THEMSELVES, drawn
from tests.reference.single_op import Case, TensorSpec, assert_equal, build, constant, outcomes_on
from tfgreen.flatbuffer import TfliteModel
from tfgreen.flatbuffer.schema import load_schema
from tfgreen.reference import Interpreter, Rounding
from tfgreen.runtimes import availability

CASES_IN_CI = 20
CASES_OF_A_CONVOLUTION, CASES_OF_ANOTHER = 5000, 1000
SOMETIMES_REFUSED = frozenset(
    {"CONV_2D", "CONV_2D int16", "MIRROR_PAD", "GATHER", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE"}
    | {"BATCH_TO_SPACE_ND", "QUANTIZE, DEQUANTIZE"}
)
"""Families of which a kernel set lacks some cases: no bias, another type, another rank."""

LACKING = {
    "reference": {"SQUARED_DIFFERENCE int16", "ELU", "BROADCAST_TO"},
    "micro": {"REDUCE_MAX int16", "REDUCE_MIN int16", "RELU_N1_TO_1", "RELU_0_TO_1", "GELU", "NEG"}
    | {"EXP", "LOG", "TILE"},
}
"""Families that a kernel set has no kernel for; it runs cases of every other one."""

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
    drawn_count = count * 5 // 3 if family in SOMETIMES_REFUSED else count
    ran = assert_equal(drawn(FAMILIES[family], drawn_count), kernel_set, rounding)
    assert ran == 0 if family in LACKING[kernel_set] else ran >= count


@pytest.mark.parametrize(("kernel_set", "rounding"), ORACLES)
def test_only_what_a_kernel_set_lacks_is_not_compared(kernel_set: str, rounding: Rounding) -> None:
    cases = {name: drawn(FAMILIES[name], 4) for name in FAMILIES}
    outcomes = iter(outcomes_on(kernel_set, [one for some in cases.values() for one in some]))
    ran = {name for name, some in cases.items() for _ in some if next(outcomes).status == "ok"}
    assert set(FAMILIES) - ran == LACKING[kernel_set]


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


# Quotients that are a tie in float32 and lie below it in float64.
NEARLY_A_TIE = (0.395388662815094, 0.15815546512603762)


ONE_INPUT = ("LEAKY_RELU", "RELU", "QUANTIZE", "ABS", "HARD_SWISH", "MEAN")
TWO_INPUTS = {"PRELU": 1, "ADD": 0, "SUB": 0, "MUL": 1, "SQUARED_DIFFERENCE": 0}
"""With the constant that leaves the first input as it is, or squares it."""


@pytest.mark.parametrize(("kernel_set", "rounding"), ORACLES)
@pytest.mark.parametrize("name", [*ONE_INPUT, *TWO_INPUTS])
def test_factors_from_scales(name: str, kernel_set: str, rounding: Rounding) -> None:
    """LiteRT divides scales in float32 mostly, TensorFlow Lite Micro in float64."""
    schema, shape = load_schema(), (256, 1)
    scale, out_scale = NEARLY_A_TIE
    specs: list[TensorSpec | None] = [TensorSpec(shape, "int8", scale)]
    options: Any = None
    if name in TWO_INPUTS:
        data = np.full(shape, TWO_INPUTS[name], np.int8)
        other_scale = 1.0 if TWO_INPUTS[name] else scale
        specs.append(TensorSpec(shape, "int8", other_scale, data=data))
        makers = {"ADD": schema.AddOptionsT, "SUB": schema.SubOptionsT, "MUL": schema.MulOptionsT}
        options = makers[name]() if name in makers else None
    if name == "LEAKY_RELU":
        options = schema.LeakyReluOptionsT(alpha=1.0)
    if name == "MEAN":
        specs.append(constant([1]))
        options = schema.ReducerOptionsT(keepDims=True)
    content = build(name, specs, [TensorSpec(shape, "int8", out_scale)], options)
    inputs = (np.arange(-128, 128).astype(np.int8).reshape(1, *shape),)
    assert assert_equal([Case(content, inputs, name)], kernel_set, rounding) == 1
