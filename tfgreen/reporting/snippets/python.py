"""The Python snippet: a module that needs NumPy, and ai-edge-litert to run the file."""

from __future__ import annotations

from collections.abc import Sequence

from tfgreen.preprocess import BoundaryTensor, Preprocess
from tfgreen.source_text import float32_literal

_HEAD = '''\
"""Quantizes the inputs of model.tflite and dequantizes its outputs. Needs numpy.

predict() also needs ai-edge-litert (pip install ai-edge-litert):

    predict("model.tflite", {INPUTS[0]["name"]: values})
"""

import numpy as np

'''
_BODY = '''

def quantize(values, tensor):
    """Real numbers, in an array of the tensor's size, as the file takes them."""
    if tensor["scale"] is None:
        return np.asarray(values, tensor["dtype"]).reshape(tensor["shape"])
    limits = np.iinfo(tensor["dtype"])
    real = np.asarray(values, np.float32).reshape(tensor["shape"])
    stored = np.round(real / np.float32(tensor["scale"])) + tensor["zero_point"]
    return np.clip(stored, limits.min, limits.max).astype(tensor["dtype"])


def dequantize(stored, tensor):
    """What the file gave, as real numbers (float32)."""
    if tensor["scale"] is None:
        return np.asarray(stored)
    steps = np.asarray(stored, np.int32) - tensor["zero_point"]
    return np.float32(tensor["scale"]) * steps.astype(np.float32)


def predict(model_path, inputs):
    """Run the file once: input name -> real numbers in, output name -> real numbers out."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(model_path))
    interpreter.allocate_tensors()
    for tensor, detail in zip(INPUTS, interpreter.get_input_details()):
        interpreter.set_tensor(detail["index"], quantize(inputs[tensor["name"]], tensor))
    interpreter.invoke()
    return {
        tensor["name"]: dequantize(interpreter.get_tensor(detail["index"]), tensor)
        for tensor, detail in zip(OUTPUTS, interpreter.get_output_details())
    }
'''


def render(preprocess: Preprocess) -> str:
    """The module's source text."""
    labels = None if preprocess.labels is None else list(preprocess.labels)
    tables = _table("INPUTS", preprocess.inputs) + _table("OUTPUTS", preprocess.outputs)
    return f"{_HEAD}{tables}LABELS = {labels!r}\n{_BODY}"


def _table(name: str, tensors: Sequence[BoundaryTensor]) -> str:
    rows = "".join(f"    {_row(tensor)},\n" for tensor in tensors)
    return f"{name} = [\n{rows}]\n"


def _row(tensor: BoundaryTensor) -> str:
    scale = "None" if tensor.scale is None else float32_literal(tensor.scale)
    return (
        f'{{"name": {tensor.name!r}, "shape": {tensor.shape!r}, "dtype": "{tensor.dtype}", '
        f'"scale": {scale}, "zero_point": {tensor.zero_point!r}}}'
    )
