"""Changes to a model that leave its outputs equal and let the converter make one int8 graph.

TFLite has no int8 NEG and SQUARE kernels. Where a normalization layer leaves one (Keras 3's
LayerNormalization computes -mean * rsqrt(variance), GroupNormalization squares a five-dimensional
difference), the converter puts a float island into an otherwise integer file and says nothing.
Recurrent layers become loops, which kill the converter when it quantizes. So:

* -x becomes x * -1, and x² becomes x * x, in the graph itself: both are exact. Only where the
  float file shows that the op is left: elsewhere the converter fuses it (GELU, PReLU), and a
  product in its place would break the pattern that it looks for;
* recurrent layers of a fixed number of steps are unrolled.

A model of mixed precision has float32 weights but computes in 16 bits, for which TFLite has no
kernels: it is made to compute in float32, which is the same within the rounding that it saves.

Whoever rewrites compares the outputs before and after; see `tfgreen.models.graph`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import function_pb2, node_def_pb2, types_pb2
from tensorflow.core.protobuf import saved_model_pb2

from tfgreen.flatbuffer import TfliteModel
from tfgreen.models.loading import flavour_of
from tfgreen.models.saved_model import GRAPH

# An unrolled graph grows with every step; beyond this it is no graph for a small device.
MOST_STEPS = 128

_FLOAT_ONLY_OPS = frozenset({"NEG", "SQUARE"})
_FLOATS = frozenset({types_pb2.DT_FLOAT, types_pb2.DT_HALF, types_pb2.DT_BFLOAT16})
# The converter fuses -x between these into PRELU or GELU, or folds it away.
_FUSED_SOURCES = frozenset({"ReadVariableOp", "Const", "Relu"})
_FUSED_TARGETS = frozenset({"Relu", "Erfc"})
_LARGEST_FUSED_RANK = 4

# tf_keras's LSTM has a kernel of its own in TFLite and stays as it is.
_LOOPED = {
    "keras3": ("RNN", "LSTM", "GRU", "SimpleRNN"),
    "keras2": ("RNN", "GRU", "SimpleRNN"),
}


def may_leave_islands(folder: Path) -> bool:
    """Whether a SavedModel's graph holds an op that may be left as a float island in int8."""
    saved = saved_model_pb2.SavedModel.FromString((folder / GRAPH).read_bytes())
    functions = [f for graph in saved.meta_graphs for f in graph.graph_def.library.function]
    return any(True for function in functions for _ in _candidates(function))


def is_quantization_aware(folder: Path) -> bool:
    """Whether a SavedModel's graph carries the ranges that quantization-aware training found."""
    saved = saved_model_pb2.SavedModel.FromString((folder / GRAPH).read_bytes())
    functions = [f for graph in saved.meta_graphs for f in graph.graph_def.library.function]
    return any(node.op.startswith("FakeQuant") for f in functions for node in f.node_def)


def islands_of(float_content: bytes) -> tuple[str, ...]:
    """Names of the tensors that ops without an int8 kernel make in a converted float file."""
    model = TfliteModel.from_bytes(float_content)
    made = [index for op in model.ops if op.name in _FLOAT_ONLY_OPS for index in op.outputs]
    floats = [model.tensors[i] for i in made if model.tensors[i].dtype.startswith("float")]
    return tuple(part for tensor in floats for part in tensor.name.split(";"))


def rewrite_graph(folder: Path, islands: Collection[str]) -> tuple[str, ...]:
    """Rewrite the ops of these names in a SavedModel in place; tells what changed, in words.

    The caller keeps a copy of the graph file to go back to.
    """
    path = folder / GRAPH
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    done: dict[str, None] = {}
    for meta_graph in saved.meta_graphs:
        for function in meta_graph.graph_def.library.function:
            nodes = [node for node in _candidates(function) if _is_named(node.name, islands)]
            done.update(dict.fromkeys(_rewrite(nodes, function)))
    if done:
        path.write_bytes(saved.SerializeToString(deterministic=True))
    return tuple(done)


def compute_in_float32(model: Any) -> tuple[str, ...]:
    """Take mixed precision off a model that this process alone holds; tells what was done."""
    flavour = flavour_of(model)
    mixed: dict[str, None] = {}
    for layer in (model, *_layers(model, flavour)):
        if layer.compute_dtype == layer.variable_dtype or layer.variable_dtype != "float32":
            continue
        mixed[layer.dtype_policy.name] = None
        if flavour == "keras3":
            layer.dtype_policy = "float32"
        else:
            layer._set_dtype_policy("float32")
    return tuple(f"computed in float32, where it was trained in {name}" for name in mixed)


def unroll_recurrent_layers(model: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Unroll the loops of a model that this process alone holds; tells what was and was not.

    The second tuple names the layers that stay loops, with the reason.
    """
    flavour = flavour_of(model)
    unrolled: list[str] = []
    looped: list[str] = []
    for layer in _layers(model, flavour):
        if type(layer).__name__ not in _LOOPED[flavour] or layer.unroll or not layer.built:
            continue
        steps = _steps(layer)
        if steps is None or steps > MOST_STEPS:
            size = "an unknown number of" if steps is None else str(steps)
            looped.append(
                f"{type(layer).__name__} '{layer.name}' has {size} steps and stays a loop (more "
                f"than {MOST_STEPS} are not unrolled); int8 conversion of a loop fails"
            )
            continue
        layer.unroll = True
        if hasattr(layer, "_could_use_gpu_kernel"):
            layer._could_use_gpu_kernel = False
        unrolled.append(f"{type(layer).__name__} '{layer.name}' unrolled over {steps} steps")
    return tuple(unrolled), tuple(looped)


def _layers(model: Any, flavour: str) -> list[Any]:
    if flavour == "keras3":
        from tfgreen.models import keras3

        return keras3.layers_of(model)
    from tfgreen.models import keras2

    return keras2.layers_of(model)


def _steps(layer: Any) -> int | None:
    shape = (layer.get_build_config() or {}).get("input_shape")
    if shape is None and getattr(layer, "input_spec", None):
        shape = layer.input_spec[0].shape
    return shape[1] if shape is not None and len(shape) > 1 else None


def _candidates(function: function_pb2.FunctionDef) -> Iterator[node_def_pb2.NodeDef]:
    producers = {node.name: node.op for node in function.node_def}
    consumers: dict[str, list[node_def_pb2.NodeDef]] = {}
    for node in function.node_def:
        for source in node.input:
            consumers.setdefault(source.split(":")[0], []).append(node)
    for node in function.node_def:
        if "T" not in node.attr or node.attr["T"].type not in _FLOATS:
            continue
        near = consumers.get(node.name, [])
        farther = [after for user in near for after in consumers.get(user.name, [])]
        is_fused = producers.get(node.input[0].split(":")[0]) in _FUSED_SOURCES or any(
            user.op in _FUSED_TARGETS for user in (*near, *farther)
        )
        if (
            (node.op == "Neg" and not is_fused)
            or node.op == "Square"
            or (node.op == "SquaredDifference" and _rank(node) > _LARGEST_FUSED_RANK)
        ):
            yield node


def _is_named(node_name: str, tensor_names: Collection[str]) -> bool:
    """The converter numbers the tensors of an op that it splits: SquaredDifference1."""
    stems = {name.rstrip("0123456789") for name in tensor_names} | {*tensor_names}
    return any(stem == node_name or stem.endswith(f"/{node_name}") for stem in stems)


def _rewrite(
    nodes: list[node_def_pb2.NodeDef], function: function_pb2.FunctionDef
) -> Iterator[str]:
    """A node's output is named after its op's output, `node:y:0`: a new op renames some."""
    renamed: dict[str, str] = {}
    for node in nodes:
        if node.op == "Neg":
            _negate_by_product(node, function)
        elif node.op == "Square":
            node.input.insert(1, node.input[0])
        else:
            _square_by_product(node, function)
        yield f"{node.name}: {node.op.lower()} written as a product, which has an int8 kernel"
        node.op = "Mul"
        renamed[f"{node.name}:y:0"] = f"{node.name}:z:0"
    _rename(function, renamed)


def _negate_by_product(node: node_def_pb2.NodeDef, function: function_pb2.FunctionDef) -> None:
    kind = node.attr["T"].type
    factor = function.node_def.add(name=f"{node.name}/minus_one", op="Const")
    factor.attr["dtype"].type = kind
    factor.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(-1.0, dtype=kind))
    node.input.insert(1, f"{factor.name}:output:0")


def _square_by_product(node: node_def_pb2.NodeDef, function: function_pb2.FunctionDef) -> None:
    difference = function.node_def.add(name=f"{node.name}/difference", op="Sub")
    difference.input.extend(node.input)
    difference.attr["T"].type = node.attr["T"].type
    del node.input[:]
    node.input.extend([f"{difference.name}:z:0"] * 2)


def _rename(function: function_pb2.FunctionDef, renamed: dict[str, str]) -> None:
    for node in function.node_def:
        for index, source in enumerate(node.input):
            node.input[index] = renamed.get(source, source)
    for key, source in function.ret.items():
        function.ret[key] = renamed.get(source, source)


def _rank(node: node_def_pb2.NodeDef) -> int:
    shapes = node.attr["_output_shapes"].list.shape if "_output_shapes" in node.attr else ()
    return len(shapes[0].dim) if shapes else 0
