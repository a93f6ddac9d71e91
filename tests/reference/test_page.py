"""The examples of docs/reference.md run."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.conftest import ROOT, TrainedModel
from tests.reference.single_op import TensorSpec, build, case, outcomes_on
from tests.reference.whole_models import quantized_file
from tfgreen.flatbuffer.schema import load_schema
from tfgreen.reference import Interpreter
from tfgreen.runtimes import availability

PAGE = ROOT / "docs" / "reference.md"


def test_the_examples_run(
    keyword_model: TrainedModel, tmp_path_factory: pytest.TempPathFactory
) -> None:
    names = {"content": quantized_file(keyword_model, tmp_path_factory)}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(block, names)
    assert np.shape(names["scores"]) == (64, 1, 12)


def test_relu6_of_micro_does_not_rescale() -> None:
    if not availability("micro").available:
        pytest.skip("tflite-micro is not installed")
    specs = [TensorSpec((1,), "int8", scale) for scale in (1e-4, 3e-5)]
    one = case("RELU6", specs[:1], specs[1:])
    values = one.inputs[0]
    assert Interpreter(one.content, "micro").run([values])[0].tolist() == (
        outcomes_on("micro", [one])[0].outputs[0].tolist()
    )
    large = np.full((1, 1), 89, np.int8)
    assert Interpreter(one.content, "micro").run([large])[0].item() == 89
    assert Interpreter(one.content).run([large])[0].item() == 127


def test_sums_saturate_as_specified() -> None:
    options = load_schema().ReducerOptionsT(keepDims=False)
    axis = TensorSpec((1,), "int32", data=np.array([1], np.int32))
    inputs = [TensorSpec((1, 2), "int8", 1.0), axis]
    content = build("SUM", inputs, [TensorSpec((1,), "int8", 1.0)], options)
    values = np.array([[[65, 115]]], np.int8)
    for rounding in ("reference", "micro", "xnnpack"):
        assert Interpreter(content, rounding).run([values])[0].item() == 127


def test_a_softmax_that_aborts_the_kernels_runs() -> None:
    specs = [TensorSpec((1, 1000), "int8", 0.1), TensorSpec((1, 1000), "int8", 1 / 256, -128)]
    content = build("SOFTMAX", specs[:1], specs[1:], load_schema().SoftmaxOptionsT(beta=1.0))
    shares = Interpreter(content).run([np.zeros((1, 1, 1000), np.int8)])[0]
    assert set(shares.ravel().tolist()) == {-128}  # 0.001 is less than half a quantum
