"""Ops that move stored values and compute nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfgreen.reference.node import Node, Run


def reshape(node: Node) -> Run:
    """RESHAPE, SQUEEZE and EXPAND_DIMS: the shape that the file gives the output."""
    data, out = node.input(0), node.output()
    node.expect(data.value_count == out.value_count, f"makes {out.shape} of {data.shape}")
    return lambda inputs: [inputs[0].reshape(len(inputs[0]), *out.shape)]


def shape_of(node: Node) -> Run:
    """SHAPE: the file's static shape."""
    shape = np.array([node.input(0).shape], node.output().dtype)
    return lambda inputs: [shape]


def transpose(node: Node) -> Run:
    """TRANSPOSE."""
    order = [int(axis) for axis in node.constant(1).ravel()]
    rank = len(node.input(0).shape)
    node.expect(sorted(order) == list(range(rank)), f"permutes {rank} axes by {order}")
    axes = (0, *(axis + 1 for axis in order))
    return lambda inputs: [np.ascontiguousarray(inputs[0].transpose(axes))]


def pad(node: Node) -> Run:
    """PAD with the zero point, PADV2 with a stored value, MIRROR_PAD with the image itself."""
    data, out = node.input(0), node.output()
    amounts = node.constant(1).reshape(-1, 2).astype(np.int64)
    node.expect(len(amounts) == len(data.shape), f"pads {len(amounts)} axes of {data.shape}")
    node.expect(bool(np.all(amounts >= 0)), "pads by less than nothing")
    grown = tuple(int(s + a.sum()) for s, a in zip(data.shape, amounts, strict=True))
    node.expect(grown == out.shape, f"gives {grown}; {out.shape} was promised")
    widths = [(0, 0), *((int(before), int(after)) for before, after in amounts)]
    if node.op.name == "MIRROR_PAD":
        mode: Any = "symmetric" if int(node.option("mode", 0)) else "reflect"
        return lambda inputs: [np.pad(inputs[0], widths, mode=mode)]
    fill: Any = 0
    if node.has(2):
        fill = node.constant(2).ravel()[0]
    elif node.is_quantized(out):
        fill = node.zero_point(out)
    inside = (
        slice(None),
        *(slice(b, b + s) for (b, _), s in zip(widths[1:], data.shape, strict=True)),
    )

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        values = np.full((len(inputs[0]), *out.shape), fill, out.dtype)
        values[inside] = inputs[0]
        return [values]

    return run


def concatenation(node: Node) -> Run:
    """CONCATENATION of tensors with one quantization."""
    out = node.output()
    rank = len(out.shape)
    axis = int(node.option("axis", 0))
    node.expect(-rank <= axis < rank, f"joins along axis {axis} of {rank}")
    node.expect(not node.option("fusedActivationFunction", 0), "fuses an activation")
    for position in range(len(node.inputs)):
        tensor = node.input(position)
        node.expect(tensor.dtype == out.dtype, f"joins {tensor.dtype} into {out.dtype}")
        if node.is_quantized(out):
            same = (node.scale(tensor), node.zero_point(tensor)) == (
                node.scale(out),
                node.zero_point(out),
            )
            if not same:
                raise node.unsupported("joins tensors of different scales")

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        count = max(len(values) for values in inputs)
        parts = [np.broadcast_to(values, (count, *values.shape[1:])) for values in inputs]
        return [np.concatenate(parts, axis=axis % rank + 1)]

    return run


def split(node: Node) -> Run:
    """SPLIT into equal parts, SPLIT_V into parts of given sizes."""
    given = node.op.name == "SPLIT_V"
    data = node.input(0 if given else 1)
    axis = int(node.constant(2 if given else 0).ravel()[0])
    node.expect(-len(data.shape) <= axis < len(data.shape), f"splits axis {axis}")
    axis %= len(data.shape)
    sizes = [tensor.shape[axis] for tensor in node.outputs]
    node.expect(sum(sizes) == data.shape[axis], f"splits {data.shape[axis]} into {sizes}")
    cuts = np.cumsum(sizes)[:-1].tolist()
    position = 0 if given else 1
    return lambda inputs: [
        np.ascontiguousarray(part) for part in np.split(inputs[position], cuts, axis=axis + 1)
    ]


def slice_of(node: Node) -> Run:
    """SLICE: from a begin on, as many as the output has."""
    data, out = node.input(0), node.output()
    begin = [int(b) for b in node.constant(1).ravel()]
    node.expect(len(begin) == len(data.shape) == len(out.shape), "has begins of another rank")
    bounds = zip(begin, out.shape, data.shape, strict=True)
    node.expect(all(b >= 0 and b + size <= whole for b, size, whole in bounds), "leaves its input")
    where = (slice(None), *(slice(b, b + s) for b, s in zip(begin, out.shape, strict=True)))
    return lambda inputs: [np.ascontiguousarray(inputs[0][where])]


def strided_slice(node: Node) -> Run:
    """STRIDED_SLICE with begin, end and shrink masks."""
    data, out = node.input(0), node.output()
    begin, end, stride = (node.constant(i).ravel().tolist() for i in (1, 2, 3))
    node.expect(len(begin) == len(end) == len(stride) <= len(data.shape), "has odd bounds")
    node.expect(0 not in stride, "has a stride of 0")
    if node.option("newAxisMask", 0) or node.option("ellipsisMask", 0):
        raise node.unsupported("has new axes or an ellipsis")
    masks = [int(node.option(name, 0)) for name in ("beginMask", "endMask", "shrinkAxisMask")]
    where: list[Any] = [slice(None)]
    for axis in range(len(begin)):
        skips_begin, skips_end, shrinks = (mask >> axis & 1 for mask in masks)
        if shrinks:
            size, place = data.shape[axis], 0 if skips_begin else begin[axis]
            node.expect(-size <= place < size, f"takes {place} of {size}")
            where.append(place % size)
            continue
        first = None if skips_begin else begin[axis]
        last = None if skips_end else end[axis]
        where.append(slice(first, last, stride[axis]))
    taken = np.empty((1, *data.shape), np.int8)[tuple(where)].shape[1:]
    node.expect(taken == out.shape, f"gives {taken}; {out.shape} was promised")
    return lambda inputs: [np.ascontiguousarray(inputs[0][tuple(where)])]


def pack(node: Node) -> Run:
    """PACK: tensors along a new axis."""
    rank = len(node.output().shape)
    axis = int(node.option("axis", 0))
    node.expect(-rank <= axis < rank, f"packs along axis {axis} of {rank}")

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        count = max(len(values) for values in inputs)
        parts = [np.broadcast_to(values, (count, *values.shape[1:])) for values in inputs]
        return [np.stack(parts, axis=axis % rank + 1)]

    return run


def unpack(node: Node) -> Run:
    """UNPACK: the slices along an axis."""
    shape = node.input(0).shape
    axis = int(node.option("axis", 0))
    node.expect(-len(shape) <= axis < len(shape), f"unpacks axis {axis} of {len(shape)}")
    axis %= len(shape)
    node.expect(shape[axis] == len(node.outputs), f"unpacks {shape[axis]} into {len(node.outputs)}")
    return lambda inputs: [
        np.ascontiguousarray(np.take(inputs[0], i, axis=axis + 1)) for i in range(shape[axis])
    ]


def gather(node: Node) -> Run:
    """GATHER of constant or computed indices along one axis."""
    shape = node.input(0).shape
    axis = int(node.option("axis", 0)) % max(len(shape), 1)
    if int(node.option("batchDims", 0)):
        raise node.unsupported("gathers in batches")
    size = shape[axis] if shape else 0

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        values, indices = inputs
        inside = bool(np.all((indices >= 0) & (indices < size)))
        node.expect(inside, "gathers beyond its input")
        if len(indices) == 1:
            return [np.take(values, indices[0], axis=axis + 1)]
        picked = [
            np.take(values[i if len(values) > 1 else 0], index, axis=axis)
            for i, index in enumerate(indices)
        ]
        return [np.stack(picked)]

    return run


def tile(node: Node) -> Run:
    """TILE."""
    repeats = [int(count) for count in node.constant(1).ravel()]
    data, out = node.input(0), node.output()
    node.expect(len(repeats) == len(data.shape), f"repeats {len(repeats)} axes")
    grown = tuple(r * size for r, size in zip(repeats, data.shape, strict=True))
    node.expect(grown == out.shape, f"gives {grown}; {out.shape} was promised")
    return lambda inputs: [np.tile(inputs[0], (1, *repeats))]


def broadcast_to(node: Node) -> Run:
    """BROADCAST_TO the output's shape."""
    shape = node.output().shape

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        values = inputs[0]
        ones = [1] * (len(shape) + 1 - values.ndim)
        values = values.reshape(len(values), *ones, *values.shape[1:])
        return [np.broadcast_to(values, (len(values), *shape)).copy()]

    return run


def space_to_depth(node: Node) -> Run:
    """SPACE_TO_DEPTH and DEPTH_TO_SPACE: blocks of pixels into channels, and back."""
    data, out = node.input(0), node.output()
    block = int(node.option("blockSize", 0))
    node.expect(block > 0 and len(data.shape) == len(out.shape) == 4, "has no block size")
    to_depth = node.op.name == "SPACE_TO_DEPTH"
    wide, deep = (data.shape, out.shape) if to_depth else (out.shape, data.shape)
    fits = wide == (deep[0], deep[1] * block, deep[2] * block, deep[3] // block**2)
    node.expect(fits and deep[3] % block**2 == 0, f"makes {out.shape} of {data.shape}")
    _, rows, columns, depth = wide

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        count = len(inputs[0])
        small = (-1, rows // block, columns // block)
        if to_depth:
            split_up = inputs[0].reshape(-1, small[1], block, small[2], block, depth)
        else:
            split_up = inputs[0].reshape(*small, block, block, depth)
        order = (0, 1, 3, 2, 4, 5)
        return [np.ascontiguousarray(split_up.transpose(order)).reshape(count, *out.shape)]

    return run


def space_to_batch(node: Node) -> Run:
    """SPACE_TO_BATCH_ND on height and width: what a dilated convolution may be made of."""
    data, out = node.input(0), node.output()
    block, rows, columns, fill = _blocks(node)
    grown = (data.shape[1] + sum(rows), data.shape[2] + sum(columns))
    batch = data.shape[0] * math.prod(block)
    expected = (batch, grown[0] // block[0], grown[1] // block[1], *data.shape[3:])
    node.expect(expected == out.shape, f"gives {expected}; {out.shape} was promised")

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        widths = [(0, 0), (0, 0), rows, columns, *[(0, 0)] * (inputs[0].ndim - 4)]
        padded = np.pad(inputs[0], widths, constant_values=fill)
        count, batch = padded.shape[:2]
        parts = padded.reshape(count, batch, out.shape[1], block[0], out.shape[2], block[1], -1)
        moved = parts.transpose(0, 3, 5, 1, 2, 4, 6)
        return [np.ascontiguousarray(moved).reshape(count, *out.shape)]

    return run


def batch_to_space(node: Node) -> Run:
    """BATCH_TO_SPACE_ND on height and width."""
    data, out = node.input(0), node.output()
    block, rows, columns, _ = _blocks(node)
    batch = data.shape[0] // math.prod(block)
    grown = data.shape[1] * block[0], data.shape[2] * block[1]
    expected = (batch, grown[0] - sum(rows), grown[1] - sum(columns), *data.shape[3:])
    node.expect(expected == out.shape, f"gives {expected}; {out.shape} was promised")

    def run(inputs: Sequence[Any]) -> Sequence[np.ndarray]:
        count = len(inputs[0])
        parts = inputs[0].reshape(count, *block, batch, data.shape[1], data.shape[2], -1)
        moved = parts.transpose(0, 3, 4, 1, 5, 2, 6).reshape(count, batch, *grown, -1)
        kept = moved[:, :, rows[0] : grown[0] - rows[1], columns[0] : grown[1] - columns[1]]
        return [np.ascontiguousarray(kept).reshape(count, *out.shape)]

    return run


def _blocks(
    node: Node,
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], int]:
    """Block sizes, the amounts around rows and columns, and what to pad with."""
    sizes = [int(size) for size in node.constant(1).ravel()]
    amounts = node.constant(2).reshape(-1, 2).tolist()
    if len(sizes) != 2 or len(amounts) != 2 or len(node.input(0).shape) != 4:
        raise node.unsupported("blocks something else than rows and columns")
    node.expect(min(sizes) > 0 and min(map(min, amounts)) >= 0, "has sizes below 0")
    out = node.output()
    fill = node.zero_point(out) if node.is_quantized(out) else 0
    return (sizes[0], sizes[1]), tuple(amounts[0]), tuple(amounts[1]), fill
