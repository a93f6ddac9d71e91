"""A tidied file computes the same, bit for bit, and is smaller."""

from __future__ import annotations

import numpy as np
import pytest

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec
from tfgreen.flatbuffer import TfliteModel
from tfgreen.runtimes import Task, availability, run_tasks
from tfgreen.tflite.tidying import tidied

SETS = ("reference", "optimized", "xnnpack", "micro")
CHANNELS = 8
EQUAL = [0.02] * CHANNELS
RISING = [0.02 + 0.01 * index for index in range(CHANNELS)]


def convolutions(kernel_scales: list[float], *, op: str = "CONV_2D", zero_point: int = 0) -> bytes:
    """One convolution of 6 x 6 x 8 values, with a scale for each channel."""
    random = np.random.default_rng(4)
    is_depthwise = op == "DEPTHWISE_CONV_2D"
    shape = (1, 3, 3, CHANNELS) if is_depthwise else (CHANNELS, 3, 3, CHANNELS)
    kernel = random.integers(-127, 128, shape).astype(np.int8)
    bias = random.integers(-900, 900, CHANNELS).astype(np.int32)
    size = (1, 6, 6, CHANNELS)
    axis = 3 if is_depthwise else 0
    options = {"strideH": 1, "strideW": 1, "padding": 0}
    if is_depthwise:
        options["depthMultiplier"] = 1
    return tiny_models.build(
        [
            TensorSpec("input", size, scale=0.05, zero_point=3),
            TensorSpec(
                "a_kernel",
                shape,
                scale=kernel_scales,
                zero_point=zero_point,
                axis=axis,
                data=kernel,
            ),
            TensorSpec(
                "a_bias",
                (CHANNELS,),
                "int32",
                scale=[0.05 * scale for scale in kernel_scales],
                data=bias,
            ),
            TensorSpec("output", size, scale=0.3, zero_point=-5),
        ],
        [OpSpec(op, ("input", "a_kernel", "a_bias"), ("output",), options, version=3)],
        inputs=("input",),
        outputs=("output",),
    )


def scales(content: bytes) -> list[int]:
    return [
        0 if tensor.quantization is None else tensor.quantization.scales.size
        for tensor in TfliteModel.from_bytes(content).tensors
    ]


@pytest.mark.parametrize("kernel_set", SETS)
@pytest.mark.parametrize("op", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_one_scale_stands_for_many_equal_ones(op: str, kernel_set: str) -> None:
    if not availability(kernel_set).available:
        pytest.skip(f"{kernel_set} is not installed")
    content = convolutions(EQUAL, op=op)
    made = tidied(content)
    assert scales(made) == [1, 1, 1, 1]
    assert len(made) < len(content)
    inputs = np.random.default_rng(2).integers(-128, 128, (16, 1, 6, 6, CHANNELS)).astype(np.int8)
    before, after = run_tasks(
        kernel_set, [Task("before", content, (inputs,)), Task("after", made, (inputs,))]
    )
    assert before.ok, before.message
    assert after.ok, after.message
    np.testing.assert_array_equal(before.outputs[0], after.outputs[0])


def test_scales_that_differ_stay() -> None:
    assert scales(tidied(convolutions(RISING))) == [1, CHANNELS, CHANNELS, 1]


def test_only_constants_lose_their_names() -> None:
    model = TfliteModel.from_bytes(tidied(convolutions(RISING)))
    assert [tensor.name for tensor in model.tensors] == ["input", "", "", "output"]
    assert model.input_names == ("input",)


def test_values_stay_and_the_second_time_changes_nothing() -> None:
    content = convolutions(EQUAL)
    made = tidied(content)
    before, after = TfliteModel.from_bytes(content), TfliteModel.from_bytes(made)
    for index in (1, 2):
        np.testing.assert_array_equal(before.constant(index), after.constant(index))
    assert tidied(made) == made


def test_a_constant_that_is_an_output_keeps_its_name() -> None:
    content = tiny_models.build(
        [
            TensorSpec("input", (1, 4), "float32"),
            TensorSpec("constant", (1, 4), "float32", data=np.ones((1, 4), np.float32)),
            TensorSpec("sum", (1, 4), "float32"),
        ],
        [OpSpec("ADD", ("input", "constant"), ("sum",))],
        inputs=("input",),
        outputs=("sum", "constant"),
    )
    names = [tensor.name for tensor in TfliteModel.from_bytes(tidied(content)).tensors]
    assert names == ["input", "constant", "sum"]
