"""The rounding of quantization-aware training in a SavedModel's graph: found, and taken out.

A deep model that rounds amplifies the last bit of a float: where a sum in another order falls to
the other side of a step, all that follows differs by steps. Two graphs that are to be the same are
therefore compared without their roundings.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tensorflow.core.framework import types_pb2

from tfgreen.models.saved_graph import Function, functions_of, read_graph, write_graph

_ROUNDINGS = frozenset(
    {
        "FakeQuantWithMinMaxArgs",
        "FakeQuantWithMinMaxVars",
        "FakeQuantWithMinMaxVarsPerChannel",
    }
)


def rounds(folder: Path) -> bool:
    """Whether a SavedModel's graph carries the ranges that quantization-aware training found."""
    return any(
        node.op in _ROUNDINGS
        for function in functions_of(read_graph(folder))
        for node in function.node_def
    )


def remove_rounding(folder: Path) -> None:
    """Let every rounding in a SavedModel's graph pass its input on, in place."""
    saved = read_graph(folder)
    for function in functions_of(saved):
        renamed = {f"{name}:outputs:0": f"{name}:output:0" for name in _pass_on(function)}
        for node in function.node_def:
            for index, source in enumerate(node.input):
                node.input[index] = renamed.get(source, source)
        for key, source in function.ret.items():
            function.ret[key] = renamed.get(source, source)
    write_graph(saved, folder)


def _pass_on(function: Function) -> Iterator[str]:
    for node in function.node_def:
        if node.op not in _ROUNDINGS:
            continue
        node.op = "Identity"
        controls = [source for source in node.input if source.startswith("^")]
        source = node.input[0]
        del node.input[:]
        node.input.extend([source, *controls])
        for attribute in ("min", "max", "num_bits", "narrow_range"):
            node.attr.pop(attribute, None)
        node.attr["T"].type = types_pb2.DT_FLOAT
        yield node.name
