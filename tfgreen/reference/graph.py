"""Checks of a graph before it runs: order, dtypes, sizes; and what is alive when."""

from __future__ import annotations

import numpy as np

from tfgreen.errors import InvalidModelError, UnsupportedModelError
from tfgreen.flatbuffer import Tensor, TfliteModel

RUNNABLE = frozenset(
    {"int8", "uint8", "int16", "int32", "int64", "float16", "float32", "bool", "int4", "uint32"}
)
"""Dtypes of activations and constants that kernels can be given."""

_SCRATCH_BYTES_PER_VALUE = 40
_IN_BLOCKS = frozenset({"ADD", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MUL", "SUB"})


def check_graph(model: TfliteModel, working_set_bytes: int) -> None:
    """Refuse a graph whose order, tensors or sizes cannot be.

    Raises:
        InvalidModelError: an op reads what nothing has written, or writes what it may not; a
            tensor is larger than the working set.
        UnsupportedModelError: a dtype that there is no kernel for.
    """
    known = {t.index for t in model.tensors if t.is_constant or t.is_variable}
    known.update(model.inputs)
    given = set(known)
    for op in model.ops:
        for index in op.inputs:
            if index >= 0 and index not in known:
                raise InvalidModelError(
                    f"The model's op {op.index} ({op.name}) reads tensor {_told(model, index)}, "
                    "which nothing has written before it: the graph has a cycle or a gap."
                )
        for index in op.outputs:
            if index in known:
                where = "a constant or an input" if index in given else "written before"
                raise InvalidModelError(
                    f"The model's op {op.index} ({op.name}) writes tensor {_told(model, index)}, "
                    f"which is {where}."
                )
            known.add(index)
    for index in model.outputs:
        if index not in known:
            raise InvalidModelError(
                f"The model's output {_told(model, index)} is written by no op."
            )
    for index in known:
        _check_tensor(model.tensors[index], working_set_bytes)


def _check_tensor(tensor: Tensor, working_set_bytes: int) -> None:
    where = f"Tensor {tensor.index} ({tensor.name})"
    if tensor.dtype not in RUNNABLE or tensor.is_sparse:
        kind = "sparse" if tensor.is_sparse else tensor.dtype
        raise UnsupportedModelError(
            f"{where} is {kind}: the NumPy interpreter knows {', '.join(sorted(RUNNABLE))}."
        )
    size_bytes = tensor.value_count * np.dtype(storage_of(tensor)).itemsize
    if size_bytes > working_set_bytes:
        raise InvalidModelError(
            f"{where} of shape {tensor.shape} takes {size_bytes:,} bytes; the working set has "
            f"{working_set_bytes:,}."
        )


def storage_of(tensor: Tensor) -> str:
    """The NumPy dtype that holds a tensor's values."""
    return "int8" if tensor.dtype == "int4" else tensor.dtype


def last_uses(model: TfliteModel) -> dict[int, int]:
    """By tensor, the index of the last op that reads it; graph outputs are kept to the end."""
    uses = {index: op.index for op in model.ops for index in op.inputs if index >= 0}
    uses.update(dict.fromkeys(model.outputs, len(model.ops)))
    return uses


def bytes_per_sample(model: TfliteModel, keep_all: bool) -> int:
    """Memory of the activations of one sample at the worst moment, scratch included."""
    uses = last_uses(model)
    alive = sum(_activation_bytes(model.tensors[index]) for index in model.inputs)
    worst = alive
    for op in model.ops:
        alive += sum(_activation_bytes(model.tensors[index]) for index in op.outputs)
        used = {i for i in (*op.inputs, *op.outputs) if i >= 0 and not model.tensors[i].is_constant}
        largest = max((model.tensors[index].value_count for index in used), default=0)
        scratch = 0 if op.name in _IN_BLOCKS else _SCRATCH_BYTES_PER_VALUE * largest
        worst = max(worst, alive + scratch)
        if not keep_all:
            over = {index for index in used if uses.get(index, op.index) == op.index}
            alive -= sum(_activation_bytes(model.tensors[index]) for index in over)
    return worst


def _activation_bytes(tensor: Tensor) -> int:
    return tensor.value_count * np.dtype(storage_of(tensor)).itemsize


def _told(model: TfliteModel, index: int) -> str:
    return f"{index} ({model.tensors[index].name})"
