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
    """A file of a segment alone, whose graph inputs are the segment's, in their order.

    It holds only the tensors that the segment uses, so that hundreds of them are made in no time.
    """
    root, graph = editable_copy(model)
    operators = [copy.copy(graph.operators[index]) for index in segment.ops]
    used = list(
        dict.fromkeys(
            int(i) for op in operators for i in (*_listed(op.inputs), *_listed(op.outputs))
        )
    )
    used += [int(i) for op in operators for i in _listed(op.intermediates)]
    place = {old: new for new, old in enumerate(dict.fromkeys(i for i in used if i >= 0))}
    place[-1] = -1
    for op in operators:
        op.inputs = [place[int(i)] for i in _listed(op.inputs)]
        op.outputs = [place[int(i)] for i in _listed(op.outputs)]
        op.intermediates = [place[int(i)] for i in _listed(op.intermediates)] or None
        op.debugMetadataIndex = -1
    graph.tensors = [graph.tensors[old] for old in place if old >= 0]
    graph.operators = operators
    graph.inputs = [place[index] for index in segment.inputs]
    graph.outputs = [place[segment.output]]
    root.subgraphs = [graph]
    root.signatureDefs = root.metadata = root.metadataBuffer = None
    drop_unused_constants(root)
    return pack(root, model.content)


def _listed(indices: Any) -> Any:
    return () if indices is None else indices
