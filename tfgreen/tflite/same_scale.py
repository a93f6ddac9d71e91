"""Ranges handed through ops that only move values, so that no step changes on the way.

Training rounds a tensor once, in front of or behind a RESHAPE or a pooling; the tensor on the
other side has to get the same steps, or the engine would round a second time.
"""

from __future__ import annotations

from collections.abc import Mapping

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
