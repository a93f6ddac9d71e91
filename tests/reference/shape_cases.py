"""Random files of the ops that only move values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.reference.cases import SCALES, SEEDS, ZERO_POINTS
from tests.reference.single_op import Case, TensorSpec, case, constant
from tfgreen.flatbuffer.schema import load_schema

Shape = tuple[int, ...]
Made = tuple[list[Any], list[Shape], Any]
"""Inputs (a shape stands for an activation of it), output shapes, options."""


def _shape(draw: st.DrawFn, low: int = 1, high: int = 4) -> Shape:
    return tuple(draw(st.lists(st.integers(1, 6), min_size=low, max_size=high)))


def _pad(draw: st.DrawFn, mirrored: bool = False) -> Made:
    shape = _shape(draw)
    limits = [min(2, size - 1) if mirrored else 3 for size in shape]
    amounts = [(draw(st.integers(0, n)), draw(st.integers(0, n))) for n in limits]
    out = tuple(size + sum(pair) for size, pair in zip(shape, amounts, strict=True))
    schema = load_schema()
    mode = schema.MirrorPadOptionsT(mode=draw(st.integers(0, 1))) if mirrored else None
    return [shape, constant(amounts)], [out], mode or schema.PadOptionsT()


def _concatenation(draw: st.DrawFn) -> Made:
    shape = _shape(draw)
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    shapes = [_with(shape, axis, size) for size in sizes]
    options = load_schema().ConcatenationOptionsT(axis=axis)
    return list(shapes), [_with(shape, axis, sum(sizes))], options


def _with(shape: Shape, axis: int, size: int) -> Shape:
    axis %= len(shape)
    return (*shape[:axis], size, *shape[axis + 1 :])


def _split(draw: st.DrawFn) -> Made:
    shape, parts = _shape(draw), draw(st.integers(1, 4))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    whole = _with(shape, axis, shape[axis] * parts)
    return [constant(axis), whole], [shape] * parts, load_schema().SplitOptionsT(numSplits=parts)


def _split_v(draw: st.DrawFn) -> Made:
    shape = _shape(draw)
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    whole, parts = _with(shape, axis, sum(sizes)), [_with(shape, axis, size) for size in sizes]
    options = load_schema().SplitVOptionsT(numSplits=len(sizes))
    return [whole, constant(sizes), constant(axis)], parts, options


def _slice(draw: st.DrawFn) -> Made:
    shape = _shape(draw)
    begin = [draw(st.integers(0, size - 1)) for size in shape]
    sizes = [draw(st.integers(1, n - b)) for n, b in zip(shape, begin, strict=True)]
    return [shape, constant(begin), constant(sizes)], [tuple(sizes)], load_schema().SliceOptionsT()


def _strided_slice(draw: st.DrawFn) -> Made:
    shape, masks = _shape(draw), [draw(st.integers(0, 15)) for _ in range(3)]
    begin, end, strides, out = [], [], [], []
    for axis, size in enumerate(shape):
        first, stride = draw(st.integers(0, size - 1)), draw(st.integers(1, 3))
        begin.append(first - size * draw(st.integers(0, 1)))
        end.append(draw(st.integers(first + 1, size)))
        strides.append(1 if masks[2] >> axis & 1 else stride)
        if masks[2] >> axis & 1:
            continue
        start = 0 if masks[0] >> axis & 1 else first
        stop = size if masks[1] >> axis & 1 else end[-1]
        out.append(len(range(start, stop, stride)))
    options = load_schema().StridedSliceOptionsT(
        beginMask=masks[0], endMask=masks[1], shrinkAxisMask=masks[2]
    )
    return [shape, constant(begin), constant(end), constant(strides)], [tuple(out)], options


def _pack(draw: st.DrawFn) -> Made:
    shape, count = _shape(draw, high=3), draw(st.integers(1, 4))
    axis = draw(st.integers(0, len(shape)))
    options = load_schema().PackOptionsT(axis=axis, valuesCount=count)
    return [shape] * count, [(*shape[:axis], count, *shape[axis:])], options


def _unpack(draw: st.DrawFn) -> Made:
    shape = _shape(draw)
    axis = draw(st.integers(0, len(shape) - 1))
    out = (*shape[:axis], *shape[axis + 1 :])
    options = load_schema().UnpackOptionsT(axis=axis, num=shape[axis])
    return [shape], [out] * shape[axis], options


def _reshape(draw: st.DrawFn) -> Made:
    shape = _shape(draw)
    out = draw(st.sampled_from([(math.prod(shape),), (1, *shape), shape[::-1]]))
    return [shape, constant(out)], [out], load_schema().ReshapeOptionsT(newShape=list(out))


def _squeeze(draw: st.DrawFn) -> Made:
    shape = _shape(draw)
    axis = draw(st.integers(0, len(shape)))
    whole = (*shape[:axis], 1, *shape[axis:])
    return [whole], [shape], load_schema().SqueezeOptionsT(squeezeDims=[axis])


def _expand(draw: st.DrawFn) -> Made:
    (whole,), (shape,), options = _squeeze(draw)
    axis = options.squeezeDims[0]
    return [shape, constant([axis])], [whole], load_schema().ExpandDimsOptionsT()


def _transpose(draw: st.DrawFn) -> Made:
    shape = _shape(draw)
    order = draw(st.permutations(range(len(shape))))
    out = tuple(shape[axis] for axis in order)
    return [shape, constant(order)], [out], load_schema().TransposeOptionsT()


def _gather(draw: st.DrawFn) -> Made:
    shape = _shape(draw)
    axis = draw(st.integers(0, len(shape) - 1))
    indices = draw(st.lists(st.integers(0, shape[axis] - 1), min_size=1, max_size=5))
    options = load_schema().GatherOptionsT(axis=axis)
    return [shape, constant(indices)], [_with(shape, axis, len(indices))], options


def _blocks(draw: st.DrawFn, to_depth: bool) -> Made:
    block, shape = draw(st.integers(1, 3)), _shape(draw, 4)
    small = (*shape[:3], shape[3] * block * block)
    wide = (shape[0], shape[1] * block, shape[2] * block, shape[3])
    schema = load_schema()
    if to_depth:
        return [wide], [small], schema.SpaceToDepthOptionsT(blockSize=block)
    return [small], [wide], schema.DepthToSpaceOptionsT(blockSize=block)


def _batches(draw: st.DrawFn, to_batch: bool) -> Made:
    blocks = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    small = _shape(draw, 4)
    amounts = [(draw(st.integers(0, b - 1)), draw(st.integers(0, 0))) for b in blocks]
    wide = (
        small[0],
        *(n * b - sum(a) for n, b, a in zip(small[1:3], blocks, amounts, strict=True)),
        small[3],
    )
    deep = (small[0] * math.prod(blocks), *small[1:])
    schema, around = load_schema(), [constant(blocks), constant(amounts)]
    if to_batch:
        return [wide, *around], [deep], schema.SpaceToBatchNDOptionsT()
    return [deep, *around], [wide], schema.BatchToSpaceNDOptionsT()


def _tile(draw: st.DrawFn) -> Made:
    shape = _shape(draw)
    counts = [draw(st.integers(1, 3)) for _ in shape]
    out = tuple(size * count for size, count in zip(shape, counts, strict=True))
    return [shape, constant(counts)], [out], load_schema().TileOptionsT()


def _broadcast(draw: st.DrawFn) -> Made:
    out = _shape(draw)
    shape = tuple(draw(st.sampled_from([size, 1])) for size in out)
    return [shape, constant(out)], [out], load_schema().BroadcastToOptionsT()


MOVES: dict[str, Callable[[st.DrawFn], Made]] = {
    "PAD": _pad,
    "PADV2": _pad,
    "MIRROR_PAD": lambda draw: _pad(draw, mirrored=True),
    "CONCATENATION": _concatenation,
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "PACK": _pack,
    "UNPACK": _unpack,
    "RESHAPE": _reshape,
    "SQUEEZE": _squeeze,
    "EXPAND_DIMS": _expand,
    "TRANSPOSE": _transpose,
    "GATHER": _gather,
    "SPACE_TO_DEPTH": lambda draw: _blocks(draw, to_depth=True),
    "DEPTH_TO_SPACE": lambda draw: _blocks(draw, to_depth=False),
    "SPACE_TO_BATCH_ND": lambda draw: _batches(draw, to_batch=True),
    "BATCH_TO_SPACE_ND": lambda draw: _batches(draw, to_batch=False),
    "TILE": _tile,
    "BROADCAST_TO": _broadcast,
}


@st.composite
def moves(draw: st.DrawFn, name: str) -> Case:
    """One of the ops, on int8 or int16."""
    dtype, scale = draw(st.sampled_from(["int8", "int8", "int16"])), draw(SCALES)
    zero_point = draw(ZERO_POINTS) if dtype == "int8" else 0
    inputs, outputs, options = MOVES[name](draw)

    def spec(shape: Any) -> Any:
        is_shape = isinstance(shape, tuple)
        return TensorSpec(shape, dtype, scale, zero_point) if is_shape else shape

    specs = [spec(one) for one in inputs]
    if name == "PADV2":
        fill = np.array([draw(st.integers(-128, 127))], dtype)
        specs.append(TensorSpec((1,), dtype, scale, zero_point, data=fill))
        options = load_schema().PadV2OptionsT()
    return case(name, specs, [spec(one) for one in outputs], options, draw(SEEDS))
