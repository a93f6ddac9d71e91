"""QUANTIZE, DEQUANTIZE and CAST: between stored values and real numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfgreen.reference.arithmetic import Integers
from tfgreen.reference.node import Node, Run
from tfgreen.reference.requantization import Factor
from tfgreen.reference.tables import by_table

_STORED = ("int8", "uint8", "int16")


def quantize(node: Node) -> Run:
    """QUANTIZE from float32, or from one quantization to another."""
    data, out = node.input(0), node.output()
    node.expect_dtypes("float32", *_STORED)
    if out.dtype not in _STORED:
        raise node.unsupported(f"gives {out.dtype}")
    zero_point, limits = node.zero_point(out), np.iinfo(out.dtype)
    if data.dtype == "float32":
        scale = np.float32(node.scale(out))

        def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
            real = inputs[0] / scale
            with np.errstate(invalid="ignore"):
                rounded = np.trunc(real + np.copysign(np.float32(0.5), real))
                away = np.abs(rounded - real) > 0.5  # 0.49999997 + 0.5 is 1 in float32
                rounded[away] -= np.sign(real[away])
                held = np.clip(rounded + zero_point, limits.min, limits.max)
            return [np.nan_to_num(held, nan=zero_point).astype(out.dtype)]

        return run
    factor = Factor.of(node.scale(data) / node.scale(out), "double")
    input_zero_point = node.zero_point(data)

    def stored(values: Integers) -> Integers:
        return factor.multiply(values - input_zero_point) + zero_point

    return by_table(node, stored)


def dequantize(node: Node) -> Run:
    """DEQUANTIZE to float32, one scale or one a channel; from float16 too."""
    data = node.input(0)
    if data.dtype == "float16":
        return lambda inputs: [inputs[0].astype(np.float32)]
    node.expect_dtypes(*_STORED, "int4")
    scales = node.scales(data)
    quantization = data.quantization
    assert_axis = quantization.axis if quantization is not None else None
    shape = [1] * (len(data.shape) + 1)
    if assert_axis is not None and scales.size > 1:
        node.expect(data.shape[assert_axis] == scales.size, "has another number of scales")
        shape[assert_axis + 1] = scales.size
    else:
        scales = scales[:1]
    zero_points = (
        quantization.zero_points[: scales.size] if quantization else np.zeros(1, np.int64)
    ).reshape(shape)
    scales = scales.reshape(shape)
    return lambda inputs: [(inputs[0].astype(np.int64) - zero_points).astype(np.float32) * scales]


def cast(node: Node) -> Run:
    """CAST of plain numbers."""
    dtype = np.dtype(node.output().dtype)
    return lambda inputs: [inputs[0].astype(dtype)]
