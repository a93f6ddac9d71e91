"""Damaged files: an error that names the op or tensor, or the same result as the kernels."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import TrainedModel
from tests.reference.mutation import mutated, structure_offsets, wrong_results
from tests.reference.single_op import TensorSpec, build, constant
from tests.reference.whole_models import quantized_file
from tfgreen.errors import InvalidDataError, InvalidModelError, TfgreenError, UnsupportedModelError
from tfgreen.flatbuffer.schema import load_schema
from tfgreen.reference import Interpreter

FILES_IN_CI, FILES_AT_LENGTH = 250, 10_000


def convolution(**changes: object) -> bytes:
    """A 1x1 convolution; `changes` replace tensors by name."""
    schema = load_schema()
    weights = np.ones((2, 1, 1, 3), np.int8)
    specs = {
        "data": TensorSpec((1, 4, 4, 3), "int8", 0.1),
        "weights": TensorSpec((2, 1, 1, 3), "int8", [0.01, 0.02], data=weights),
        "bias": TensorSpec((2,), "int32", [0.001, 0.002], data=np.zeros(2, np.int32)),
        "out": TensorSpec((1, 4, 4, 2), "int8", 0.1),
    } | changes
    options = schema.Conv2DOptionsT(strideH=1, strideW=1)
    tensors = [specs["data"], specs["weights"], specs["bias"]]
    return build("CONV_2D", tensors, [specs["out"]], options)  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"out": TensorSpec((1, 4, 4, 2))}, "needs the quantization of tensor 't3'"),
        ({"out": TensorSpec((1, 3, 4, 2), "int8", 0.1)}, r"op 0 \(CONV_2D\) gives \(1, 4, 4, 2\)"),
        (
            {"data": TensorSpec((1, 4, 4, 3), "int8", [0.1, 0.2, 0.3], axis=3)},
            "more than one scale",
        ),
        ({"out": TensorSpec((1, 4, 4, 2), "int8", float("nan"))}, "a scale that is no scale"),
        ({"out": TensorSpec((1, 4, 4, 2), "int8", 1e-9)}, "out of all reason"),
        ({"out": TensorSpec((1 << 15, 1 << 15, 1, 2), "int8", 0.1)}, r"Tensor 3 \(t3\)"),
    ],
)
def test_it_names_what_is_wrong(changes: dict[str, object], told: str) -> None:
    with pytest.raises(InvalidModelError, match=told):
        Interpreter(convolution(**changes))


def test_an_op_that_is_missing_is_named_with_those_that_are_there() -> None:
    schema = load_schema()
    spec = TensorSpec((1, 4), "float32")
    content = build("CUMSUM", [spec, constant(1)], [spec], schema.CumsumOptionsT())
    with pytest.raises(UnsupportedModelError, match="op 0 is CUMSUM.*There are ABS, ADD, "):
        Interpreter(content)


def test_inputs_that_do_not_fit_are_refused() -> None:
    interpreter = Interpreter(convolution())
    with pytest.raises(InvalidDataError, match="expected int8"):
        interpreter.run([np.zeros((2, 1, 4, 4, 3), np.float32)])
    with pytest.raises(InvalidDataError, match="0 input arrays"):
        interpreter.run([])


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\0" * 100])
def test_no_model(content: bytes) -> None:
    with pytest.raises(TfgreenError):
        Interpreter(content)


def _assert_no_wrong_result(content: bytes, count: int, seed: int) -> None:
    offsets, rng = structure_offsets(content), np.random.default_rng(seed)
    for _ in range(0, count, 250):
        files = [mutated(content, offsets, rng) for _ in range(min(count, 250))]
        assert not wrong_results(files)


def test_mutated_files() -> None:
    _assert_no_wrong_result(convolution(), FILES_IN_CI, seed=1)


@pytest.mark.slow
def test_mutated_files_at_length(
    keyword_model: TrainedModel, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = quantized_file(keyword_model, tmp_path_factory)
    _assert_no_wrong_result(content, FILES_AT_LENGTH, seed=2)
