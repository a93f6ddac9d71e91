"""One layer of int8, float16 or float32 weights, pruned or clustered, as a .tflite file."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from tests.tiny_models import OpSpec, TensorSpec, build

Kind = Literal["conv", "depthwise", "dense"]

_OPS = {"conv": "CONV_2D", "depthwise": "DEPTHWISE_CONV_2D", "dense": "FULLY_CONNECTED"}
_AXES = {"conv": 0, "depthwise": 3, "dense": 0}
_INPUTS = {"conv": (1, 6, 6, 32), "depthwise": (1, 6, 6, 96), "dense": (1, 640)}
_KERNELS = {"conv": (16, 3, 3, 32), "depthwise": (1, 3, 3, 96), "dense": (16, 640)}
_OUTPUTS = {"conv": (1, 6, 6, 16), "depthwise": (1, 6, 6, 96), "dense": (1, 16)}


def weights(shape: tuple[int, ...], zeros: float = 0.0, values: int | None = None) -> np.ndarray:
    """Whole numbers in -127..127, a share of them zero, of at most `values` different others."""
    random = np.random.default_rng(1)
    drawn = random.integers(-127, 128, shape)
    if values is not None:
        drawn = random.choice(random.integers(-127, 128, values), shape)
    return np.asarray(np.where(random.random(shape) < zeros, 0, drawn))


def layer(
    kind: Kind = "conv", dtype: str = "int8", zeros: float = 0.85, values: int | None = None
) -> bytes:
    """x → the layer → y; float16 weights run through DEQUANTIZE. Tensor "weights" holds them."""
    channels = _KERNELS[kind][_AXES[kind]]
    scales = np.linspace(0.005, 0.02, channels).astype(np.float32)
    stored = weights(_KERNELS[kind], zeros, values).astype(dtype)
    is_int8 = dtype == "int8"
    activations = "int8" if is_int8 else "float32"

    def quantized(scale: Any, axis: int = 0) -> dict[str, Any]:
        return {"scale": scale, "axis": axis} if is_int8 else {}

    bias = np.zeros(channels, "int32" if is_int8 else "float32")
    tensors = [
        TensorSpec("x", _INPUTS[kind], activations, **quantized(0.05)),
        TensorSpec("weights", _KERNELS[kind], dtype, data=stored, **quantized(scales, _AXES[kind])),
        TensorSpec("bias", bias.shape, bias.dtype.name, data=bias, **quantized(scales * 0.05)),
        TensorSpec("y", _OUTPUTS[kind], activations, **quantized(0.5)),
    ]
    ops, read = [], "weights"
    if dtype == "float16":
        tensors.append(TensorSpec("widened", _KERNELS[kind], "float32"))
        ops, read = [OpSpec("DEQUANTIZE", ["weights"], ["widened"])], "widened"
    options = {} if kind == "dense" else {"strideW": 1, "strideH": 1, "padding": 0}
    if kind == "depthwise":
        options["depthMultiplier"] = 1
    version = 3 if is_int8 else 1
    ops.append(OpSpec(_OPS[kind], ["x", read, "bias"], ["y"], options, version))
    return build(tensors, ops, ["x"], ["y"])


def inputs(kind: Kind = "conv", dtype: str = "int8", count: int = 4) -> tuple[np.ndarray, ...]:
    """(count, *input shape) in the input's dtype."""
    random, shape = np.random.default_rng(2), (count, *_INPUTS[kind])
    if dtype == "int8":
        return (random.integers(-128, 128, shape).astype(np.int8),)
    return (random.standard_normal(shape).astype(np.float32),)
