"""Float networks of a few layers, which every engine quantizes in a moment."""

from __future__ import annotations

import numpy as np

from tests.tflite.float_layers import SAME
from tests.tiny_models import OpSpec, TensorSpec, build

SHAPE = (1, 6, 6, 4)
ACTIVATIONS = ("x", "small", "large", "sum")


def two_convolutions_added() -> bytes:
    """ "x" through two 3x3 convolutions, "small" and ten times as "large", added into "sum"."""
    rng = np.random.default_rng(0)
    tensors = [TensorSpec(name, SHAPE, "float32") for name in ACTIVATIONS]
    ops = []
    for name, size in (("small", 0.05), ("large", 0.5)):
        kernel = (rng.normal(size=(4, 3, 3, 4)) * size).astype(np.float32)
        bias = (rng.normal(size=4) * size).astype(np.float32)
        tensors.append(TensorSpec(f"{name}/weights", kernel.shape, "float32", data=kernel))
        tensors.append(TensorSpec(f"{name}/bias", bias.shape, "float32", data=bias))
        options = {"strideW": 1, "strideH": 1, "padding": SAME}
        ops.append(OpSpec("CONV_2D", ["x", f"{name}/weights", f"{name}/bias"], [name], options))
    ops.append(OpSpec("ADD", ["small", "large"], ["sum"]))
    return build(tensors, ops, ["x"], ["sum"])


def dense(features: int = 64, units: int = 32) -> bytes:
    """ "x" (1, features) through FULLY_CONNECTED into "y" (1, units)."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(units, features)).astype(np.float32)
    tensors = [
        TensorSpec("x", (1, features), "float32"),
        TensorSpec("weights", weights.shape, "float32", data=weights),
        TensorSpec("bias", (units,), "float32", data=np.zeros(units, np.float32)),
        TensorSpec("y", (1, units), "float32"),
    ]
    ops = [OpSpec("FULLY_CONNECTED", ["x", "weights", "bias"], ["y"])]
    return build(tensors, ops, ["x"], ["y"])


def runs(count: int = 24, shape: tuple[int, ...] = SHAPE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)
