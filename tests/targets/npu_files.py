"""Small files for the tests of NPUs: what Vela places, leaves to the CPU, and dies of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.tiny_models import OpSpec, TensorSpec, build

PLACES = 6 * 6


def conv(weight_dtype: str = "int8") -> bytes:
    """3x3 CONV_2D of 6x6x3 images to 4 maps: 36 places x 4 maps x 27 weights = 3,888 MACs."""
    return build(*_conv(weight_dtype), ["image"], ["m_1/conv_1/Conv2D"])


def conv_between_floats() -> bytes:
    """The same, with float32 at both ends."""
    tensors, ops = _conv("int8")
    tensors += [
        TensorSpec("x", (1, 6, 6, 3), "float32"),
        TensorSpec("y", (1, 6, 6, 4), "float32"),
    ]
    ops = [
        OpSpec("QUANTIZE", ["x"], ["image"]),
        *ops,
        OpSpec("DEQUANTIZE", ["m_1/conv_1/Conv2D"], ["y"]),
    ]
    return build(tensors, ops, ["x"], ["y"])


def conv_and_gather() -> bytes:
    """The same, then GATHER of the maps in another order, in a layer `pick`."""
    tensors, ops = _conv("int8")
    order = np.array([2, 0, 1, 3], np.int32)
    picked = TensorSpec("m_1/pick_1/GatherV2", (1, 6, 6, 4), scale=0.008, zero_point=-128)
    tensors += [TensorSpec("order", (4,), "int32", data=order), picked]
    gather = OpSpec("GATHER", ["m_1/conv_1/Conv2D", "order"], [picked.name], {"axis": 3})
    return build(tensors, [*ops, gather], ["image"], [picked.name])


def gather_alone() -> bytes:
    """Nothing that an NPU of the U55 family runs."""
    return many_gathers(1)


def many_gathers(count: int) -> bytes:
    """A chain of ops that the U55 family does not run."""
    names = [f"row {number}" for number in range(count + 1)]
    tensors = [TensorSpec(name, (1, 4), scale=0.1) for name in names]
    tensors.append(TensorSpec("order", (4,), "int32", data=np.array([2, 0, 1, 3], np.int32)))
    ops = [OpSpec("GATHER", [names[i], "order"], [names[i + 1]], {"axis": 1}) for i in range(count)]
    return build(tensors, ops, names[:1], names[-1:])


def _conv(weight_dtype: str) -> tuple[list[TensorSpec], list[OpSpec]]:
    kernel = np.random.default_rng(0).integers(-127, 128, (4, 3, 3, 3), np.int8)
    data: np.ndarray | bytes = kernel
    if weight_dtype == "int4":  # two values a byte
        data = kernel.tobytes()[: kernel.size // 2]
    scales: Sequence[float] = [0.002] * 4
    bias = np.zeros(4, np.int32)
    tensors = [
        TensorSpec("image", (1, 6, 6, 3), scale=1 / 255, zero_point=-128),
        TensorSpec("kernel", kernel.shape, weight_dtype, scale=scales, data=data),
        TensorSpec("bias", (4,), "int32", scale=[0.002 / 255] * 4, data=bias),
        TensorSpec("m_1/conv_1/Conv2D", (1, 6, 6, 4), scale=0.008, zero_point=-128),
    ]
    options = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1}
    conv_op = OpSpec("CONV_2D", ["image", "kernel", "bias"], ["m_1/conv_1/Conv2D"], options, 3)
    return tensors, [conv_op]
