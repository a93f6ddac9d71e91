"""Rewriting a graph where the converter would leave float islands in an integer file.

TFLite has no int8 NEG and SQUARE kernels. Where a normalization layer leaves one (Keras 3's
LayerNormalization computes -mean * rsqrt(variance), GroupNormalization squares a five-dimensional
difference), the converter puts DEQUANTIZE, the float op and QUANTIZE into an otherwise integer file
and says nothing. A SPLIT of which an output is not used (the first step of an unrolled LSTM, whose
forget gate has nothing to forget) gets its range from memory that nobody wrote, so that it is an
island once in a while, and the file is another at every conversion. So, with equal outputs:

* -x becomes x * -1, and x² becomes x * x; both are exact;
* a split becomes slices, of which the unused ones go.

Only where a converted float file shows that it is needed: elsewhere the converter fuses the op
(GELU, PReLU), and a product in its place would break the pattern that it looks for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2

from tfgreen.flatbuffer import TfliteModel
from tfgreen.models.saved_graph import Function, functions_of, read_graph, write_graph

Node = Any  # a NodeDef of tensorflow/core/framework/node_def.proto

_SPLITS = ("Split", "SplitV")
_FLOAT_ONLY_OPS = frozenset({"NEG", "SQUARE"})
_FLOATS = frozenset({types_pb2.DT_FLOAT, types_pb2.DT_HALF, types_pb2.DT_BFLOAT16})
# The converter fuses -x between these into PRELU or GELU, or folds it away.
_FUSED_SOURCES = frozenset({"ReadVariableOp", "Const", "Relu"})
_FUSED_TARGETS = frozenset({"Relu", "Erfc"})
_LARGEST_FUSED_RANK = 4


def may_leave_islands(folder: Path) -> bool:
    """Whether a SavedModel's graph holds an op that may be left as an island."""
    return any(True for function in functions_of(read_graph(folder)) for _ in _candidates(function))


def islands_of(float_content: bytes) -> tuple[str, ...]:
    """Names of the tensors in a converted float file that would be islands in an integer one."""
    model = TfliteModel.from_bytes(float_content)
    made: list[int] = []
    for op in model.ops:
        unused = [i for i in op.outputs if not model.consumers(i) and i not in model.outputs]
        if op.name in _FLOAT_ONLY_OPS or (op.name in ("SPLIT", "SPLIT_V") and unused):
            made.append(op.outputs[0])
    floats = [model.tensors[i] for i in made if model.tensors[i].dtype.startswith("float")]
    return tuple(part for tensor in floats for part in tensor.name.split(";"))


def rewrite_graph(folder: Path, islands: Collection[str]) -> tuple[str, ...]:
    """Rewrite the ops that make these tensors in a SavedModel; tells what changed, in words."""
    saved = read_graph(folder)
    done: dict[str, None] = {}
    for function in functions_of(saved):
        nodes = [node for node in _candidates(function) if _is_named(node.name, islands)]
        done.update(dict.fromkeys(_rewrite(nodes, function)))
    if done:
        write_graph(saved, folder)
    return tuple(done)


def _candidates(function: Function) -> Iterator[Node]:
    nodes = {node.name: node for node in function.node_def}
    consumers: dict[str, list[Node]] = {}
    for node in function.node_def:
        for source in node.input:
            consumers.setdefault(source.split(":")[0], []).append(node)
    for node in function.node_def:
        if "T" not in node.attr or node.attr["T"].type not in _FLOATS:
            continue
        before = nodes.get(node.input[0].split(":")[0])
        source = None if before is None else before.op
        near = consumers.get(node.name, [])
        farther = [after for user in near for after in consumers.get(user.name, [])]
        is_fused = source in _FUSED_SOURCES or any(
            user.op in _FUSED_TARGETS for user in (*near, *farther)
        )
        if (
            (node.op == "Neg" and not is_fused)
            or node.op == "Square"
            or (node.op == "SquaredDifference" and len(_shape(node)) > _LARGEST_FUSED_RANK)
            or _is_known_split(node, nodes)
        ):
            yield node


def _is_named(node_name: str, tensor_names: Collection[str]) -> bool:
    """The converter numbers the tensors of an op that it splits: SquaredDifference1, split_211."""
    stems = {stem for name in tensor_names for stem in (name, *_without_number(name))}
    return any(stem == node_name or stem.endswith(f"/{node_name}") for stem in stems)


def _without_number(name: str) -> Iterator[str]:
    while name[-1:].isdigit():
        name = name[:-1]
        yield name


def _rewrite(nodes: Sequence[Node], function: Function) -> Iterator[str]:
    """Outputs are named after their op's, as in `node:y:0`: a new op gives them new names."""
    renamed: dict[str, str] = {}
    for node in nodes:
        rewrite, words = _REWRITES[node.op]
        yield f"{node.name}: {words}"
        renamed.update(rewrite(node, function))
    for node in function.node_def:
        for index, source in enumerate(node.input):
            node.input[index] = renamed.get(source, source)
    for key, source in function.ret.items():
        function.ret[key] = renamed.get(source, source)


def _negation(node: Node, function: Function) -> dict[str, str]:
    kind = tf.as_dtype(node.attr["T"].type).as_numpy_dtype
    node.input.insert(1, _constant(function, f"{node.name}/minus_one", np.array(-1, kind)))
    return _into_product(node)


def _square(node: Node, function: Function) -> dict[str, str]:
    node.input.insert(1, node.input[0])
    return _into_product(node)


def _squared_difference(node: Node, function: Function) -> dict[str, str]:
    difference = function.node_def.add(name=f"{node.name}/difference", op="Sub")
    difference.input.extend(node.input)
    difference.attr["T"].type = node.attr["T"].type
    del node.input[:]
    node.input.extend([f"{difference.name}:z:0"] * 2)
    return _into_product(node)


def _into_product(node: Node) -> dict[str, str]:
    node.op = "Mul"
    return {f"{node.name}:y:0": f"{node.name}:z:0"}


def _split(node: Node, function: Function) -> dict[str, str]:
    source = node.input[0] if node.op == "SplitV" else node.input[1]
    nodes = {n.name: n for n in function.node_def}
    axis = int(tf.make_ndarray(_axis_node(node, nodes).attr["value"].tensor))
    shapes = _shapes(node)
    begin = np.zeros(len(shapes[0]), np.int32)
    renamed: dict[str, str] = {}
    for index, shape in enumerate(shapes):
        part = function.node_def.add(name=f"{node.name}/part_{index}", op="Slice")
        part.attr["T"].type = node.attr["T"].type
        part.attr["Index"].type = types_pb2.DT_INT32
        part.input.append(source)
        part.input.append(_constant(function, f"{part.name}/begin", begin))
        part.input.append(_constant(function, f"{part.name}/size", np.array(shape, np.int32)))
        renamed[f"{node.name}:output:{index}"] = f"{part.name}:output:0"
        begin = begin.copy()
        begin[axis] += shape[axis]
    function.node_def.remove(node)
    return renamed


def _is_known_split(node: Node, nodes: Mapping[str, Node]) -> bool:
    """A split along a constant axis into parts of known shapes."""
    if node.op not in _SPLITS or _axis_node(node, nodes).op != "Const":
        return False
    shapes = _shapes(node)
    is_complete = len(shapes) == node.attr["num_split"].i
    return is_complete and all(shape and min(shape) >= 0 for shape in shapes)


def _axis_node(node: Node, nodes: Mapping[str, Node]) -> Node:
    name = node.input[2 if node.op == "SplitV" else 0].split(":")[0]
    return nodes.get(name, node)  # an argument of the function is no node


def _constant(function: Function, name: str, value: np.ndarray) -> str:
    node = function.node_def.add(name=name, op="Const")
    kind = tf.as_dtype(value.dtype)
    node.attr["dtype"].type = kind.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, kind, value.shape))
    return f"{name}:output:0"


def _shape(node: Node) -> list[int]:
    """The shape of the first output; -1 where it is not known, empty if nothing is known."""
    return next(iter(_shapes(node)), [])


def _shapes(node: Node) -> list[list[int]]:
    """The shapes of all outputs."""
    shapes = node.attr["_output_shapes"].list.shape if "_output_shapes" in node.attr else ()
    return [[dimension.size for dimension in shape.dim] for shape in shapes]


_PRODUCT = "written as a product, which has an int8 kernel"
_REWRITES: dict[str, tuple[Callable[[Node, Function], dict[str, str]], str]] = {
    "Neg": (_negation, f"negation {_PRODUCT}"),
    "Square": (_square, f"square {_PRODUCT}"),
    "SquaredDifference": (_squared_difference, f"squared difference {_PRODUCT}"),
    **dict.fromkeys(_SPLITS, (_split, "split written as slices, of which one is not used")),
}
