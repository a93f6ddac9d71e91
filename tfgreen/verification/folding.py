"""Ops that compute from constants alone, such as the DEQUANTIZE of a stored weight.

Their results are weights, not intermediates: they are computed once and put into the file as
constants, so that the op which uses them is cut out with its weights and runs as it does there.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np

from tfgreen.flatbuffer import Op, TfliteModel
from tfgreen.flatbuffer.packing import pack
from tfgreen.flatbuffer.schema import load_schema

RANDOM_OPS = frozenset({"RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL"})
"""The ops that draw random numbers: they answer differently every time."""

_NEVER_CONSTANT = RANDOM_OPS | {"VAR_HANDLE"}


def constant_ops(model: TfliteModel) -> tuple[Op, ...]:
    """The ops whose inputs are constants or results of such ops, in execution order."""
    known = {tensor.index for tensor in model.tensors if tensor.is_constant} | {-1}
    found = []
    for op in model.ops:
        stateful = any(model.tensors[i].is_variable for i in (*op.inputs, *op.outputs) if i >= 0)
        if known.issuperset(op.inputs) and op.name not in _NEVER_CONSTANT and not stateful:
            known.update(op.outputs)
            found.append(op)
    return tuple(found)


def fold(model: TfliteModel, values: Mapping[int, np.ndarray]) -> TfliteModel:
    """The model with the tensors in `values` as constants, without the ops that wrote them.

    Tensor indices stay as they are. `values` hold each tensor in its own shape and dtype.
    """
    if not values:
        return model
    schema = load_schema()
    root = copy.copy(model.root)
    root.buffers = list(root.buffers)
    graph = copy.copy(root.subgraphs[0])
    graph.tensors = list(graph.tensors)
    graph.operators = [
        graph.operators[op.index] for op in model.ops if not set(op.outputs) <= set(values)
    ]
    for index, value in values.items():
        stored = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
        graph.tensors[index] = copy.copy(graph.tensors[index])
        graph.tensors[index].buffer = len(root.buffers)
        root.buffers.append(schema.BufferT(data=stored))
    root.subgraphs = [graph, *root.subgraphs[1:]]
    return TfliteModel.from_bytes(pack(root, model.content))
