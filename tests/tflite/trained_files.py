"""Float files as the converter makes them of models from quantization-aware training."""

from __future__ import annotations

import numpy as np

from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.data import Samples
from tfgreen.flatbuffer import TfliteModel
from tfgreen.runtimes import dequantize, quantize_inputs

INPUT_SCALE, OUTPUT_SCALE = 0.125, 0.25
WEIGHTS = np.array([[0.5, -1.0, 0.24], [1.27, 0.1, -0.6]], np.float32)  # (out, in)
BIAS = np.array([0.5, -0.25], np.float32)


def dense(
    *,
    weight_scales: tuple[float, ...] = (0.01, 0.02),
    weight_dtype: str = "uint8",
    activation_dtype: str = "uint8",
    transposed: bool = True,
) -> bytes:
    """x (1, 3) rounded, FULLY_CONNECTED with rounded weights, y (1, 2) rounded.

    The weights run through QUANTIZE, DEQUANTIZE and TRANSPOSE, as those of a Dense layer do.
    """
    middle = {"uint8": 128, "uint4": 8, "uint16": 32768}
    stored = WEIGHTS.T if transposed else WEIGHTS
    axis = 1 if transposed else 0
    weights_from = "turned" if transposed else "rounded_weights"
    steps = {"scale": weight_scales, "zero_point": middle[weight_dtype], "axis": axis}
    zero = middle[activation_dtype]
    tensors = [
        TensorSpec("x", (1, 3), "float32"),
        TensorSpec("x_steps", (1, 3), activation_dtype, INPUT_SCALE, zero),
        TensorSpec("x_rounded", (1, 3), "float32"),
        TensorSpec("weights", stored.shape, "float32", data=np.ascontiguousarray(stored)),
        TensorSpec("weights_steps", stored.shape, weight_dtype, **steps),
        TensorSpec("rounded_weights", stored.shape, "float32"),
        TensorSpec("order", (2,), "int32", data=np.array([1, 0], np.int32)),
        TensorSpec("turned", (2, 3), "float32"),
        TensorSpec("bias", (2,), "float32", data=BIAS),
        TensorSpec("y", (1, 2), "float32"),
        TensorSpec("y_steps", (1, 2), activation_dtype, OUTPUT_SCALE, zero),
        TensorSpec("y_rounded", (1, 2), "float32"),
    ]
    ops = [
        OpSpec("QUANTIZE", ["x"], ["x_steps"]),
        OpSpec("DEQUANTIZE", ["x_steps"], ["x_rounded"]),
        OpSpec("QUANTIZE", ["weights"], ["weights_steps"]),
        OpSpec("DEQUANTIZE", ["weights_steps"], ["rounded_weights"]),
        *([OpSpec("TRANSPOSE", ["rounded_weights", "order"], ["turned"])] if transposed else []),
        OpSpec("FULLY_CONNECTED", ["x_rounded", weights_from, "bias"], ["y"]),
        OpSpec("QUANTIZE", ["y"], ["y_steps"]),
        OpSpec("DEQUANTIZE", ["y_steps"], ["y_rounded"]),
    ]
    signature = ({"x": "x"}, {"y": "y_rounded"})
    return build(tensors, ops, ["x"], ["y_rounded"], signature)


def runs(count: int = 16) -> np.ndarray:
    """Inputs (count, 1, 3) inside the trained range, off its steps."""
    return np.random.default_rng(0).uniform(-4, 4, (count, 1, 3)).astype(np.float32)


def run(content: bytes, x: np.ndarray) -> np.ndarray:
    """The output (count, 1, 2) of a file in real numbers, on the reference kernels."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_REF
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    model = TfliteModel.from_bytes(content)
    (inputs,) = quantize_inputs(model, Samples({model.input_names[0]: x[:, 0]}))
    given = []
    for values in inputs:
        interpreter.set_tensor(model.inputs[0], values)
        interpreter.invoke()
        output = interpreter.get_tensor(model.outputs[0])
        given.append(dequantize(output, model.tensors[model.outputs[0]].quantization))
    return np.array(given)


def answers(x: np.ndarray, weight_scales: tuple[float, ...] = (0.01, 0.02)) -> np.ndarray:
    """What `dense` computes, in NumPy: rounded input, weights and output."""
    rounded = _steps(x, INPUT_SCALE)
    weights = _steps(WEIGHTS, np.array(weight_scales, np.float32)[:, None], 127)
    return _steps(rounded @ weights.T + BIAS, OUTPUT_SCALE)


def _steps(values: np.ndarray, scale: float | np.ndarray, most: int = 127) -> np.ndarray:
    counted = np.sign(values) * np.floor(np.abs(values / scale) + 0.5)
    return np.clip(counted, -128 if most == 127 else -most, most) * scale
