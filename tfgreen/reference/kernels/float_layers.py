"""Layers on float32, for the islands between DEQUANTIZE and QUANTIZE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfgreen.reference.node import Node, Run
from tfgreen.reference.windows import axes_of, padded_images, windows_of

_INFINITY = float("inf")
_ACTIVATIONS = {0: (-_INFINITY, _INFINITY), 1: (0.0, _INFINITY), 2: (-1.0, 1.0), 3: (0.0, 6.0)}


def activated(node: Node, values: np.ndarray) -> np.ndarray:
    """Float values after the op's fused activation, float32."""
    activation = int(node.option("fusedActivationFunction", 0))
    if activation not in _ACTIVATIONS:
        raise node.unsupported(f"fuses the activation {activation}")
    return np.clip(values, *_ACTIVATIONS[activation]).astype(np.float32)


def _plain(node: Node, position: int) -> np.ndarray:
    values = node.constant(position)
    if values.dtype != np.float32:
        raise node.unsupported(f"mixes float32 with weights of {values.dtype}")
    return values


def _bias(node: Node) -> np.ndarray | float:
    return _plain(node, 2).ravel() if node.has(2) else 0.0


def float_convolution(node: Node) -> Run:
    """CONV_2D on float32."""
    data, filters = node.input(0), _plain(node, 1)
    node.expect(filters.ndim == 4, "needs filters of rank 4")
    height, width = axes_of(node, data.shape, (filters.shape[1], filters.shape[2]))
    if filters.shape[3] != data.shape[3]:
        raise node.unsupported("works on float32 in groups")
    matrix, bias = filters.reshape(len(filters), -1).T, _bias(node)

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        images = inputs[0].reshape(-1, *data.shape[1:])
        windows = windows_of(padded_images(images, height, width, 0.0, np.float32), height, width)
        rows = windows.reshape(*windows.shape[:3], -1)
        return [activated(node, rows @ matrix + bias).reshape(-1, *node.output().shape)]

    return run


def float_depthwise(node: Node) -> Run:
    """DEPTHWISE_CONV_2D on float32."""
    data, filters = node.input(0), _plain(node, 1)
    node.expect(filters.ndim == 4, "needs filters of rank 4")
    height, width = axes_of(node, data.shape, (filters.shape[1], filters.shape[2]))
    node.expect(filters.shape[3] % data.shape[3] == 0, "has odd filter channels")
    repeats, bias = filters.shape[3] // data.shape[3], _bias(node)

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        images = np.repeat(inputs[0].reshape(-1, *data.shape[1:]), repeats, axis=3)
        windows = windows_of(padded_images(images, height, width, 0.0, np.float32), height, width)
        sums = np.einsum("nhwijc,ijc->nhwc", windows, filters[0])
        return [activated(node, sums + bias).reshape(-1, *node.output().shape)]

    return run


def float_fully_connected(node: Node) -> Run:
    """FULLY_CONNECTED on float32."""
    weights, bias = _plain(node, 1), _bias(node)

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        values = inputs[0]
        rows = values.reshape(len(values), -1, weights.shape[1])
        out = activated(node, rows @ weights.T + bias)
        return [out.reshape(len(values), *node.output().shape)]

    return run
