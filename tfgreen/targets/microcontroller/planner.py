"""Where TensorFlow Lite Micro puts each activation: its own greedy plan, computed without it.

TFLM lays out the head of its arena when a model is loaded (memory_planner/greedy_memory_planner.cc
and micro_allocation_info.cc of tflite-micro): every buffer lives from the op that writes it to the
last one that reads it, its size is rounded up to 16 bytes, and the largest buffers are placed
first, each into the first gap among those that live at the same time. A file may bring places of
its own (the metadata OfflineMemoryAllocation, which Vela writes): those are taken first. The same
rules, followed here, give the same head to the byte; tests hold them against TFLM's own print.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tfgreen.flatbuffer import TfliteModel
from tfgreen.flatbuffer.facts import stored_size_bytes
from tfgreen.targets.microcontroller.scratch import scratch_bytes

ALIGNMENT_BYTES = 16
_TAIL_BYTES, _TAIL_BYTES_PER_OP = 4096, 1024
_CONTROL_FLOW = frozenset({"IF", "WHILE", "CALL_ONCE"})
_NEVER = -1
_OFFLINE_PLAN = b"OfflineMemoryAllocation"
_OFFLINE_HEADER = 3  # version, subgraph, number of tensors


@dataclass(frozen=True)
class Buffer:
    """One stretch of the arena's head, in use from one op to another.

    Attributes:
        tensor: Index of the tensor that it holds; None for working memory of one op.
        size_bytes: Rounded up to 16 bytes.
        first_used, last_used: Steps: 0 is the start, k the k-th op (op index k - 1). Both are -1
            for a tensor that nothing touches.
        offset_bytes: Where it begins in the arena.
    """

    tensor: int | None
    size_bytes: int
    first_used: int
    last_used: int
    offset_bytes: int = 0

    @property
    def end_bytes(self) -> int:
        """Where it ends in the arena."""
        return self.offset_bytes + self.size_bytes

    def lives_with(self, other: Buffer) -> bool:
        """Whether both are in use at some step."""
        return self.first_used <= other.last_used and other.first_used <= self.last_used


@dataclass(frozen=True)
class Plan:
    """All buffers of the head with their places.

    >>> Plan((Buffer(0, 16, 0, 1), Buffer(1, 32, 1, 1, 16))).head_bytes
    48
    """

    buffers: tuple[Buffer, ...]

    @property
    def head_bytes(self) -> int:
        """Size of the head: what TFLM prints as "Arena allocation head"."""
        return max((buffer.end_bytes for buffer in self.buffers), default=0)

    def alive_at(self, step: int) -> tuple[Buffer, ...]:
        """The buffers that are in use at a step."""
        return tuple(b for b in self.buffers if b.first_used <= step <= b.last_used)

    def used_bytes(self, step: int) -> int:
        """Bytes that have to be kept at a step, gaps between them apart."""
        return sum(buffer.size_bytes for buffer in self.alive_at(step))


def plan_arena(model: TfliteModel, shrunk: Mapping[int, int] | None = None) -> Plan | None:
    """The plan of a file's activations; None where other subgraphs are run, which share the arena.

    Args:
        model: The file; only its first subgraph is planned.
        shrunk: Tensor index → how many times smaller it is taken to be: what if?

    >>> from tests.tiny_models import int8_classifier
    >>> plan_arena(TfliteModel.from_bytes(int8_classifier())).head_bytes
    32
    """
    if any(op.name in _CONTROL_FLOW for op in model.ops):
        return None
    tensors = _tensor_buffers(model, shrunk or {})
    return Plan(_placed([*tensors, *_scratch_buffers(model)], _offline_offsets(model)))


def tail_reserve_bytes(model: TfliteModel) -> int:
    """What to add to a head whose tail nobody has told: 4 KB, and 1 KB for each op.

    >>> from tests.tiny_models import int8_classifier
    >>> tail_reserve_bytes(TfliteModel.from_bytes(int8_classifier()))
    6144
    """
    return _TAIL_BYTES + _TAIL_BYTES_PER_OP * len(model.ops)


def _tensor_buffers(model: TfliteModel, shrunk: Mapping[int, int]) -> Iterator[Buffer]:
    first, last = _lifetimes(model)
    for tensor in model.tensors:
        size = stored_size_bytes(_widened(tensor.dtype), tensor.value_count)
        if tensor.is_constant or tensor.is_variable or not size:
            continue
        size = -(-size // shrunk.get(tensor.index, 1))
        yield Buffer(tensor.index, _aligned(size), first[tensor.index], last[tensor.index])


def _lifetimes(model: TfliteModel) -> tuple[list[int], list[int]]:
    """First and last step of every tensor; graph outputs live to the end."""
    first, last = [_NEVER] * len(model.tensors), [_NEVER] * len(model.tensors)
    for index in (*model.inputs, *model.outputs):
        first[index] = last[index] = 0
    for step, op in enumerate(model.ops, start=1):
        for index in op.outputs:
            first[index] = last[index] = step
        for index in op.inputs:
            if index >= 0:
                last[index] = step
    for index in model.outputs:
        last[index] = len(model.ops)
    return first, last


def _scratch_buffers(model: TfliteModel) -> Iterator[Buffer]:
    for step, op in enumerate(model.ops, start=1):
        for size in scratch_bytes(model, op):
            yield Buffer(None, _aligned(size), step, step)


def _offline_offsets(model: TfliteModel) -> dict[int, int]:
    """Tensor index → the place that the file itself gives to it."""
    buffers = model.root.buffers
    for entry in model.root.metadata or ():
        if entry.name != _OFFLINE_PLAN or not 0 <= entry.buffer < len(buffers):
            continue
        data = buffers[entry.buffer].data
        stored = np.asarray([] if data is None else data, np.uint8)
        numbers = stored[: stored.size // 4 * 4].view("<i4")[_OFFLINE_HEADER:]
        return {i: int(offset) for i, offset in enumerate(numbers) if offset >= 0}
    return {}


def _placed(buffers: Sequence[Buffer], given: Mapping[int, int]) -> tuple[Buffer, ...]:
    """The buffers in their order, each with its place: the largest first, of equals the last."""
    placed = {
        index: replace(buffer, offset_bytes=given[buffer.tensor])
        for index, buffer in enumerate(buffers)
        if buffer.tensor is not None and buffer.tensor in given
    }
    free = (index for index in range(len(buffers)) if index not in placed)
    for index in sorted(free, key=lambda i: (-buffers[i].size_bytes, -i)):
        wanted = buffers[index]
        together = [other for other in placed.values() if other.lives_with(wanted)]
        offset = _first_gap(together, wanted.size_bytes)
        placed[index] = replace(wanted, offset_bytes=offset)
    return tuple(placed[index] for index in range(len(buffers)))


def _first_gap(neighbours: Sequence[Buffer], size_bytes: int) -> int:
    """The lowest place of that size among buffers that are there already."""
    offset = 0
    for other in sorted(neighbours, key=lambda buffer: buffer.offset_bytes):
        if other.offset_bytes - offset >= size_bytes:
            break
        offset = max(offset, other.end_bytes)
    return offset


def _widened(dtype: str) -> str:
    """TFLM keeps one 4-bit value in each byte of an activation."""
    return "int8" if dtype in ("int2", "int4", "uint4") else dtype


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
