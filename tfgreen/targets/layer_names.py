"""Which Keras layer an op comes from, as far as the names in the file tell."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping

from tfgreen.flatbuffer import Op, TfliteModel

# A fused name joins those of several layers; this part of it belongs to the op's own.
_OWN_PART: Mapping[str, tuple[str, ...]] = {
    "CONV_2D": ("convolution", "conv"),
    "DEPTHWISE_CONV_2D": ("depthwise",),
    "TRANSPOSE_CONV": ("conv_transpose",),
    "FULLY_CONNECTED": ("matmul", "tensordot"),
}
_TRACED = re.compile(r"_\d+$")


def layer_of(model: TfliteModel, op: Op) -> str | None:
    """The Keras layer behind an op: of the tensor it writes, else of its weights, else None.

    Names read "model_1/dense_1/MatMul", the layer's own name followed by the number of its
    tracing. The last op of a file often writes a tensor of no layer's name.
    """
    return _behind(model, op, is_numbered=_numbered(model))


def layers_of(model: TfliteModel) -> tuple[str | None, ...]:
    """`layer_of` of every op in order, for files of hundreds of them."""
    is_numbered = _numbered(model)
    return tuple(_behind(model, op, is_numbered=is_numbered) for op in model.ops)


def _behind(model: TfliteModel, op: Op, *, is_numbered: bool) -> str | None:
    constants = [i for i in op.inputs if i >= 0 and model.tensors[i].is_constant]
    return _first_layer(model, op, (*op.outputs, *constants), is_numbered=is_numbered)


def layer_clause(model: TfliteModel, op: Op) -> str:
    """The layer for a sentence: " of layer 'dense'", " after layer 'dense'", or nothing."""
    layer = layer_of(model, op)
    if layer:
        return f" of layer '{layer}'"
    read = [i for i in op.inputs if i >= 0]
    before = _first_layer(model, op, read, is_numbered=_numbered(model))
    return f" after layer '{before}'" if before else ""


def _first_layer(
    model: TfliteModel, op: Op, indices: Iterable[int], *, is_numbered: bool
) -> str | None:
    for index in indices:
        parts = list(_scopes(model.tensors[index].name))
        if parts:
            own = [part for part in parts if _is_own(op, part)]
            return _spelled((own or parts)[0][1:-1], is_numbered)
    return None


def _scopes(name: str) -> Iterator[list[str]]:
    """The parts of a joined name that have a model, a layer and an op."""
    for part in name.split(";"):
        steps = part.split("/")
        if len(steps) >= 3 and all(steps):
            yield steps


def _is_own(op: Op, steps: list[str]) -> bool:
    return steps[-1].lower().startswith(_OWN_PART.get(op.name, ("\0",)))


def _numbered(model: TfliteModel) -> bool:
    """Whether model and layers bear the number of their tracing, which is not of their name."""
    scopes = (steps for tensor in model.tensors for steps in _scopes(tensor.name))
    outer = [step for steps in scopes for step in steps[:2]]
    return bool(outer) and all(_TRACED.search(step) for step in outer)


def _spelled(steps: list[str], is_numbered: bool) -> str:
    """Of "normalization_1/moments" only the numbered scopes, where layers bear numbers."""
    if not is_numbered:
        return "/".join(steps)
    layers = itertools.takewhile(_TRACED.search, steps)
    return "/".join(_TRACED.sub("", layer) for layer in layers)
