"""Float files of one layer with weights, and the arithmetic that says what it computes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.tiny_models import OpSpec, TensorSpec, build

SAME, VALID = schema.Padding.SAME, schema.Padding.VALID


@dataclass(frozen=True)
class Window:
    """How a convolution slides, as one number for both axes."""

    kernel: int = 3
    stride: int = 1
    dilation: int = 1
    padding: int = SAME

    def output_size(self, size: int) -> int:
        """Positions along one axis, as TensorFlow defines them."""
        if self.padding == SAME:
            return -(-size // self.stride)
        reach = (self.kernel - 1) * self.dilation + 1
        return (size - reach) // self.stride + 1

    @property
    def options(self) -> dict[str, int]:
        return {
            "strideH": self.stride,
            "strideW": self.stride,
            "dilationHFactor": self.dilation,
            "dilationWFactor": self.dilation,
            "padding": self.padding,
        }


def float_conv(
    shape: tuple[int, int, int, int],
    weights: np.ndarray,
    bias: np.ndarray,
    window: Window,
    name: str = "CONV_2D",
    **options: int,
) -> bytes:
    """Input "x" of `shape` (batch, height, width, channels) convolved into "y"."""
    batch, height, width, _ = shape
    output = (batch, window.output_size(height), window.output_size(width), len(bias))
    tensors = [
        TensorSpec("x", shape, "float32"),
        TensorSpec("weights", weights.shape, "float32", data=weights.astype(np.float32)),
        TensorSpec("bias", bias.shape, "float32", data=bias.astype(np.float32)),
        TensorSpec("y", output, "float32"),
    ]
    op = OpSpec(name, ["x", "weights", "bias"], ["y"], {**window.options, **options})
    return build(tensors, [op], ["x"], ["y"])


def float_dense(
    shape: tuple[int, ...], weights: np.ndarray, bias: np.ndarray | None = None
) -> bytes:
    """Input "x" of `shape` times `weights` (units, features) into "y", whose rank is kept."""
    tensors = [
        TensorSpec("x", shape, "float32"),
        TensorSpec("weights", weights.shape, "float32", data=weights.astype(np.float32)),
        TensorSpec("y", (*shape[:-1], len(weights)), "float32"),
    ]
    inputs = ["x", "weights", ""]
    if bias is not None:
        tensors.append(TensorSpec("bias", bias.shape, "float32", data=bias.astype(np.float32)))
        inputs[2] = "bias"
    op = OpSpec("FULLY_CONNECTED", inputs, ["y"], {"keepNumDims": True})
    return build(tensors, [op], ["x"], ["y"])


def run(content: bytes, *arrays: np.ndarray) -> np.ndarray:
    """The first output of one call, on the default kernels, in this process."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    for details, array in zip(interpreter.get_input_details(), arrays, strict=True):
        interpreter.set_tensor(details["index"], array)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
