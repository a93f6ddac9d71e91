"""QUANTIZE ops that change nothing are taken out, and no others."""

from __future__ import annotations

import numpy as np

from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.flatbuffer import TfliteModel
from tfgreen.tflite.idle_conversions import without_idle_conversions


def chain(scales: tuple[float, float], last: str = "LOGISTIC") -> bytes:
    """x → QUANTIZE → QUANTIZE → `last`, the first two from a scale of 0.5."""
    tensors = [
        TensorSpec("x", (1, 2), "int8", 0.5, 3),
        TensorSpec("a", (1, 2), "int8", scales[0], 3),
        TensorSpec("b", (1, 2), "int8", scales[1], 3),
        TensorSpec("y", (1, 2), "int8", 1 / 256, -128),
    ]
    ops = [OpSpec("QUANTIZE", ["x"], ["a"]), OpSpec("QUANTIZE", ["a"], ["b"])]
    return build(tensors, [*ops, OpSpec(last, ["b"], ["y"])], ["x"], ["y"])


def names(content: bytes) -> list[str]:
    return [op.name for op in TfliteModel.from_bytes(content).ops]


def test_chains_of_idle_ops_go() -> None:
    content = without_idle_conversions(chain((0.5, 0.5)))
    model = TfliteModel.from_bytes(content)
    assert names(content) == ["LOGISTIC"]
    assert model.ops[0].inputs == model.inputs


def test_other_scales_and_outputs_stay() -> None:
    content = chain((0.5, 0.25))
    assert names(without_idle_conversions(content)) == ["QUANTIZE", "LOGISTIC"]
    for scales, last in (((0.25, 0.5), "LOGISTIC"), ((0.25, 0.125), "LOGISTIC")):
        content = chain(scales, last)
        assert without_idle_conversions(content) == content


def test_the_file_computes_the_same() -> None:
    from ai_edge_litert.interpreter import Interpreter

    x, given = np.array([[-7, 90]], np.int8), []
    for content in (chain((0.5, 0.5)), without_idle_conversions(chain((0.5, 0.5)))):
        interpreter = Interpreter(model_content=content)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        interpreter.invoke()
        given.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    np.testing.assert_array_equal(*given)
