"""Pieces of a graph: what has to run to get one tensor from some others, as a file of its own."""

from __future__ import annotations

import copy
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from tfgreen.flatbuffer import TfliteModel
from tfgreen.flatbuffer.edits import drop_unused_constants, editable_copy
from tfgreen.flatbuffer.packing import pack


@dataclass(frozen=True)
class Segment:
    """The ops from some known tensors to one that is wanted.

    Attributes:
        inputs: Tensor indices that are read and not computed, in the order of first use.
        output: Tensor index.
        ops: Op indices in execution order; none where the output is itself an input.
    """

    inputs: tuple[int, ...]
    output: int
    ops: tuple[int, ...]


def segment_to(model: TfliteModel, output: int, known: Collection[int]) -> Segment | None:
    """The least segment that computes `output` from tensors in `known`.

    Returns None if a graph input that is not known would be needed. `output` itself is computed
    even if it is known.
    """
    ops: set[int] = set()
    inputs: set[int] = set()
    pending = [output]
    while pending:
        producer = model.producer(pending.pop())
        if producer is None:
            return None
        if producer.index in ops:
            continue
        ops.add(producer.index)
        for index in producer.inputs:
            if index < 0 or model.tensors[index].is_constant or model.tensors[index].is_variable:
                continue
            if index in known:
                inputs.add(index)
            else:
                pending.append(index)
    ordered = tuple(sorted(ops))
    used = [index for op in ordered for index in model.ops[op].inputs if index in inputs]
    return Segment(tuple(dict.fromkeys(used)), output, ordered)


def cut_segment(model: TfliteModel, segment: Segment) -> bytes:
    """A file of a segment alone. Tensor indices stay as they are in `model`."""
    root, graph = editable_copy(model)
    graph.operators = [graph.operators[index] for index in segment.ops]
    graph.inputs, graph.outputs = list(segment.inputs), [segment.output]
    root.signatureDefs = root.metadata = root.metadataBuffer = None
    _empty_unread(model, graph, segment)
    drop_unused_constants(root)
    return pack(root, model.content)


def _empty_unread(model: TfliteModel, graph: Any, segment: Segment) -> None:
    """Constants that the segment does not read give up their place in the file."""
    read = {index for op in segment.ops for index in model.ops[op].inputs}
    for tensor in model.tensors:
        if tensor.is_constant and tensor.index not in read:
            graph.tensors[tensor.index] = copy.copy(graph.tensors[tensor.index])
            graph.tensors[tensor.index].buffer = 0
