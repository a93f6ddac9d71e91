"""Float networks of a few layers in a row, for what moves factors from one to the next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.tflite.float_layers import SAME
from tests.tiny_models import OpSpec, TensorSpec, build

NONE, RELU, RELU6 = 0, 1, 3
SIZE, CHANNELS = 6, 4


def constant(name: str, values: np.ndarray) -> TensorSpec:
    return TensorSpec(name, values.shape, "float32", data=values.astype(np.float32))


def two_dense(first: np.ndarray, second: np.ndarray, activation: int = RELU) -> bytes:
    """ "x" through two FULLY_CONNECTED layers, weights (units, features)."""
    tensors = [
        TensorSpec("x", (1, first.shape[1]), "float32"),
        constant("first/weights", first),
        constant("first/bias", np.zeros(len(first))),
        TensorSpec("middle", (1, len(first)), "float32"),
        constant("second/weights", second),
        constant("second/bias", np.zeros(len(second))),
        TensorSpec("y", (1, len(second)), "float32"),
    ]
    ops = [
        OpSpec(
            "FULLY_CONNECTED",
            ["x", "first/weights", "first/bias"],
            ["middle"],
            {"fusedActivationFunction": activation},
        ),
        OpSpec("FULLY_CONNECTED", ["middle", "second/weights", "second/bias"], ["y"]),
    ]
    return build(tensors, ops, ["x"], ["y"])


def separable(
    activation: int = RELU6,
    spreads: Sequence[float] = (1.0, 1.0),
    seed: int = 0,
    second_reader: bool = False,
) -> bytes:
    """Convolution, depthwise convolution, max pooling, flattening, dense layer.

    spreads: the largest factor between output channels of the two convolutions. second_reader:
    the depthwise layer's output is a graph output too.
    """
    rng = np.random.default_rng(seed)
    image, pooled = (1, SIZE, SIZE, CHANNELS), (1, SIZE // 2, SIZE // 2, CHANNELS)
    flat = int(np.prod(pooled))
    factors = [np.geomspace(1, spread, CHANNELS) for spread in spreads]
    convolution = rng.normal(size=(CHANNELS, 3, 3, 3)) * 0.2 * factors[0][:, None, None, None]
    depthwise = rng.normal(size=(1, 3, 3, CHANNELS)) * 0.3 * factors[1] / factors[0]
    dense = rng.normal(size=(5, flat)) / np.tile(factors[1], flat // CHANNELS)
    tensors = [
        TensorSpec("x", (1, SIZE, SIZE, 3), "float32"),
        constant("conv/weights", convolution),
        constant("conv/bias", rng.normal(size=CHANNELS) * 0.1 * factors[0]),
        TensorSpec("conv", image, "float32"),
        constant("depthwise/weights", depthwise),
        constant("depthwise/bias", rng.normal(size=CHANNELS) * 0.1 * factors[1]),
        TensorSpec("depthwise", image, "float32"),
        TensorSpec("pooled", pooled, "float32"),
        constant("shape", np.array([1, flat])),
        TensorSpec("flat", (1, flat), "float32"),
        constant("dense/weights", dense),
        constant("dense/bias", rng.normal(size=5)),
        TensorSpec("y", (1, 5), "float32"),
    ]
    tensors[8] = TensorSpec("shape", (2,), "int32", data=np.array([1, flat], np.int32))
    window = {"strideW": 1, "strideH": 1, "padding": SAME, "fusedActivationFunction": activation}
    pool = {"strideW": 2, "strideH": 2, "filterWidth": 2, "filterHeight": 2, "padding": SAME}
    ops = [
        OpSpec("CONV_2D", ["x", "conv/weights", "conv/bias"], ["conv"], window),
        OpSpec(
            "DEPTHWISE_CONV_2D",
            ["conv", "depthwise/weights", "depthwise/bias"],
            ["depthwise"],
            {**window, "depthMultiplier": 1},
        ),
        OpSpec("MAX_POOL_2D", ["depthwise"], ["pooled"], pool),
        OpSpec("RESHAPE", ["pooled", "shape"], ["flat"]),
        OpSpec("FULLY_CONNECTED", ["flat", "dense/weights", "dense/bias"], ["y"]),
    ]
    return build(tensors, ops, ["x"], ["y", "depthwise"] if second_reader else ["y"])


def images(count: int = 16, size: float = 1.0, seed: int = 0) -> np.ndarray:
    """Calibration runs, (count, 1, 6, 6, 3)."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, 1, SIZE, SIZE, 3)) * size).astype(np.float32)


def masked_scores(mask: np.ndarray) -> bytes:
    """ "x" (1, 4, 8) through a dense layer to scores (1, 4, 4), plus a mask, softmax."""
    weights = np.random.default_rng(0).normal(size=(4, 8))
    tensors = [
        TensorSpec("x", (1, 4, 8), "float32"),
        constant("weights", weights),
        constant("bias", np.zeros(4)),
        TensorSpec("scores", (1, 4, 4), "float32"),
        constant("mask", mask),
        TensorSpec("masked", (1, 4, 4), "float32"),
        TensorSpec("y", (1, 4, 4), "float32"),
    ]
    ops = [
        OpSpec("FULLY_CONNECTED", ["x", "weights", "bias"], ["scores"], {"keepNumDims": True}),
        OpSpec("ADD", ["scores", "mask"], ["masked"]),
        OpSpec("SOFTMAX", ["masked"], ["y"], {"beta": 1.0}),
    ]
    return build(tensors, ops, ["x"], ["y"])
