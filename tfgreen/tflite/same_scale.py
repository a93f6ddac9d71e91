"""Ranges handed through ops that only move values, so that no step changes on the way.

Training rounds a tensor once, in front of or behind a RESHAPE or a pooling; the tensor on the
other side has to get the same steps, or the engine would round a second time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tfgreen.flatbuffer import Op, TfliteModel
from tfgreen.models.known_classes import words

Ranges = Mapping[str, tuple[float, float]]

# Ops whose int8 kernels have one step for input and output, by TFLite's specification.
_MOVING = words(
    """
    AVERAGE_POOL_2D BATCH_TO_SPACE_ND BROADCAST_TO CONCATENATION DEPTH_TO_SPACE EXPAND_DIMS GATHER
    GATHER_ND MAX_POOL_2D MAXIMUM MINIMUM MIRROR_PAD PACK PAD PADV2 REDUCE_MAX REDUCE_MIN RESHAPE
    RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 SLICE SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT
    SPLIT_V SQUEEZE STRIDED_SLICE TILE TRANSPOSE UNPACK
    """
)


def handed_through(model: TfliteModel, ranges: Ranges) -> Ranges:
    """The ranges by tensor name, and those of tensors that moving ops connect with them.

    A tensor with several readers takes nothing from behind it: the others would be served with a
    range that is not theirs.
    """
    known = dict(ranges)
    moving = [op for op in model.ops if op.name in _MOVING]
    for _ in range(2):
        for op in moving:
            _forwards(model, op, known)
        for op in reversed(moving):
            _backwards(model, op, known)
    return known


def with_equal_reversals(model: TfliteModel, ranges: Ranges) -> Ranges:
    """The same range on both sides of every REVERSE_V2.

    Its kernels copy integers, but TensorFlow's engine gives the output the steps of what it is
    joined with and leaves the input its own: the numbers would mean something else behind it.
    """
    equal = dict(ranges)
    for op in model.ops:
        if op.name != "REVERSE_V2":
            continue
        chain = [op.outputs[0], *_moved_before(model, op)]
        joined = [j.outputs[0] for j in model.consumers(op.outputs[0]) if j.name == "CONCATENATION"]
        names = [model.tensors[index].name for index in chain]
        known = [ranges[model.tensors[i].name] for i in (*joined, *chain) if _has(model, ranges, i)]
        if known:
            ends = min(low for low, _ in known), max(high for _, high in known)
            equal.update(dict.fromkeys(names, ends))
    return equal


def _moved_before(model: TfliteModel, op: Op) -> Iterator[int]:
    """The tensors that lead to an op through others that move values alone, and to it alone."""
    index = op.inputs[0]
    yield index
    while (before := model.producer(index)) is not None and before.name in _MOVING:
        sources = _activations(model, before)
        if len(sources) != 1 or len(model.consumers(sources[0])) > 1:
            return
        index = sources[0]
        yield index


def _has(model: TfliteModel, ranges: Ranges, index: int) -> bool:
    return model.tensors[index].name in ranges


def _forwards(model: TfliteModel, op: Op, known: dict[str, tuple[float, float]]) -> None:
    given = {known.get(model.tensors[index].name) for index in _activations(model, op)}
    if len(given) == 1 and (only := given.pop()) is not None:
        for index in op.outputs:
            known.setdefault(model.tensors[index].name, only)


def _backwards(model: TfliteModel, op: Op, known: dict[str, tuple[float, float]]) -> None:
    given = {known.get(model.tensors[index].name) for index in op.outputs}
    if len(given) != 1 or (only := given.pop()) is None:
        return
    for index in _activations(model, op):
        readers = model.consumers(index)
        if len(readers) == 1 and index not in model.outputs and index not in model.inputs:
            known.setdefault(model.tensors[index].name, only)


def _activations(model: TfliteModel, op: Op) -> list[int]:
    return [
        index
        for index in op.inputs
        if index >= 0
        and not model.tensors[index].is_constant
        and model.tensors[index].dtype == "float32"
    ]
