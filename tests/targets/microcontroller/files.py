"""Files that TensorFlow Lite Micro refuses, or reads wrongly without a word."""

from __future__ import annotations

import numpy as np

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec, build

_WEIGHTS = np.arange(32, dtype=np.int8).reshape(4, 8)
_SCALES = [0.1, 0.2, 0.3, 0.4]


def missing_op() -> bytes:
    """GELU on int8, of the layer "activation"."""
    written = "model/activation/Gelu"
    tensors = [TensorSpec(name, (1, 8), scale=0.1) for name in ("x", written)]
    return build(tensors, [OpSpec("GELU", ["x"], [written], version=2)], ["x"], [written])


def weight_only() -> bytes:
    """Float activations, int8 weights with a scale a channel, widened by DEQUANTIZE."""
    widened = "model/dense/MatMul"
    tensors = [
        TensorSpec("x", (1, 8), "float32"),
        TensorSpec("weights", (4, 8), "int8", _SCALES, data=_WEIGHTS),
        TensorSpec(widened, (4, 8), "float32"),
        TensorSpec("y", (1, 4), "float32"),
    ]
    ops = [
        OpSpec("DEQUANTIZE", ["weights"], [widened]),
        OpSpec("FULLY_CONNECTED", ["x", widened, ""], ["y"]),
    ]
    return build(tensors, ops, ["x"], ["y"])


def hybrid() -> bytes:
    """Float activations into a layer that keeps its weights in int8."""
    written = "model/dense/MatMul"
    tensors = [
        TensorSpec("x", (1, 8), "float32"),
        TensorSpec("weights", (4, 8), "int8", _SCALES, data=_WEIGHTS),
        TensorSpec(written, (1, 4), "float32"),
    ]
    return build(
        tensors, [OpSpec("FULLY_CONNECTED", ["x", "weights", ""], [written])], ["x"], [written]
    )


def half_floats() -> bytes:
    """float16 weights, widened by DEQUANTIZE."""
    tensors = [
        TensorSpec("x", (1, 8), "float32"),
        TensorSpec("weights", (4, 8), "float16", data=_WEIGHTS.astype(np.float16)),
        TensorSpec("model/dense/MatMul", (4, 8), "float32"),
        TensorSpec("y", (1, 4), "float32"),
    ]
    ops = [
        OpSpec("DEQUANTIZE", ["weights"], ["model/dense/MatMul"]),
        OpSpec("FULLY_CONNECTED", ["x", "model/dense/MatMul", ""], ["y"]),
    ]
    return build(tensors, ops, ["x"], ["y"])


def external() -> bytes:
    """Weights behind the flatbuffer's end."""
    return tiny_models.with_external_buffers(tiny_models.int8_classifier())


def late_version() -> bytes:
    """A RELU of version 77."""
    tensors = [TensorSpec(name, (1, 8), scale=0.1) for name in ("x", "model/re_lu/Relu")]
    ops = [OpSpec("RELU", ["x"], ["model/re_lu/Relu"], version=77)]
    return build(tensors, ops, ["x"], ["model/re_lu/Relu"])
