"""A float layer and its int8 file, every weight rounded to the nearest step, as oracles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tests.tflite.float_layers import Window, float_conv, float_dense
from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.flatbuffer import TfliteModel

INPUT_SCALE, OUTPUT_SCALE = 1 / 32, 1 / 8


@dataclass(frozen=True)
class Layer:
    """`weights` as the float file stores them; axis 0 (depthwise: the last) is the output's."""

    kind: str
    shape: tuple[int, ...]
    weights: np.ndarray
    bias: np.ndarray | None
    window: Window = Window(kernel=3)

    @property
    def axis(self) -> int:
        return 3 if self.kind == "DEPTHWISE_CONV_2D" else 0

    @property
    def scales(self) -> np.ndarray:
        others = tuple(a for a in range(self.weights.ndim) if a != self.axis)
        return (np.abs(self.weights).max(axis=others) / 127).astype(np.float32)

    def float_file(self) -> bytes:
        if self.kind == "FULLY_CONNECTED":
            return float_dense(self.shape, self.weights, self.bias)
        options = {"depthMultiplier": 1} if self.axis else {}
        return float_conv(self.shape, self.weights, self.bias, self.window, self.kind, **options)

    def int8_file(self) -> bytes:
        """Weights rounded to the nearest step, biases too: what a converter does."""
        along_axis = [1] * self.weights.ndim
        along_axis[self.axis] = -1
        stored = np.rint(self.weights / self.scales.reshape(along_axis)).astype(np.int8)
        tensors = [
            TensorSpec("x", self.shape, scale=INPUT_SCALE),
            TensorSpec("weights", stored.shape, "int8", self.scales, axis=self.axis, data=stored),
            TensorSpec("y", self._output_shape(), scale=OUTPUT_SCALE),
        ]
        inputs = ["x", "weights", ""]
        if self.bias is not None:
            steps = INPUT_SCALE * self.scales
            data = np.rint(self.bias / steps).astype(np.int32)
            tensors.append(TensorSpec("bias", data.shape, "int32", steps, data=data))
            inputs[2] = "bias"
        op = OpSpec(self.kind, inputs, ["y"], self._options(), version=3)
        return build(tensors, [op], ["x"], ["y"])

    def _output_shape(self) -> tuple[int, ...]:
        model = TfliteModel.from_bytes(self.float_file())
        return model.tensors[model.outputs[0]].shape

    def _options(self) -> dict[str, int]:
        if self.kind == "FULLY_CONNECTED":
            return {"keepNumDims": True}
        return {**self.window.options, **({"depthMultiplier": 1} if self.axis else {})}


def error_of(layer: Layer, content: bytes, rows: np.ndarray) -> float:
    """Mean squared error of the real-valued output for float input rows, from weights and bias.

    rows: (n, K), or (n, k, channels) for a depthwise layer.
    """
    model = TfliteModel.from_bytes(content)
    weights, bias = layer.weights, np.zeros(len(layer.scales))
    along_axis = [1] * weights.ndim
    along_axis[layer.axis] = -1
    stored = model.constant(model.tensor_index("weights")).astype(np.float64)
    error = stored * layer.scales.reshape(along_axis).astype(np.float64) - weights
    if layer.bias is not None:
        steps = INPUT_SCALE * layer.scales.astype(np.float64)
        bias = model.constant(model.tensor_index("bias")) * steps - layer.bias
    if layer.axis:
        difference = np.einsum("nkc,kc->nc", rows, error.reshape(-1, error.shape[-1])) + bias
    else:
        difference = rows @ error.reshape(len(error), -1).T + bias
    return float(np.mean(difference**2))
