"""Questions about a model's graph: where its logits are, and what its ops cost."""

from __future__ import annotations

import math

from tfgreen.flatbuffer.facts import Op
from tfgreen.flatbuffer.model import TfliteModel
from tfgreen.flatbuffer.reading import op_name

_SQUASHING = frozenset({"SOFTMAX", "LOGISTIC", "LOG_SOFTMAX"})
_CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE"})


def logits(model: TfliteModel) -> tuple[int, ...]:
    """For each graph output, the tensor whose error says most about the model's.

    A trailing SOFTMAX or LOGISTIC squashes errors, and QUANTIZE, DEQUANTIZE and RESHAPE only
    repack them: the tensor before that chain is taken, else the output itself. A QUANTIZE and a
    DEQUANTIZE that round a float tensor, as quantization-aware training does, are no repacking.

    Returns:
        One tensor index for each of `model.outputs`, in their order.
    """
    return tuple(_before_squashing(model, output) for output in model.outputs)


def _before_squashing(model: TfliteModel, output: int) -> int:
    passable = _SQUASHING | _CONVERSIONS | {"RESHAPE"}
    found = current = output
    while (op := model.producer(current)) is not None and op.name in passable:
        current = op.inputs[0]
        if model.tensors[current].is_constant or _rounds(model, op):
            break
        if op.name != "RESHAPE":
            found = current
        if op.name in _SQUASHING:
            passable = _CONVERSIONS
    return found


def _rounds(model: TfliteModel, op: Op) -> bool:
    before = model.producer(op.inputs[0])
    is_pair = op.name == "DEQUANTIZE" and before is not None and before.name == "QUANTIZE"
    return is_pair and before is not None and model.tensors[before.inputs[0]].dtype == "float32"


def multiply_accumulates(model: TfliteModel, op: Op) -> int:
    """Multiply-accumulate operations of one run of an op, from its static shapes.

    Counted for convolutions, FULLY_CONNECTED and BATCH_MATMUL; 0 for every other op. Padding is
    counted as if it were data, as is usual.
    """

    def shape(position: int) -> tuple[int, ...]:
        return model.tensors[op.inputs[position]].shape

    output_count = model.tensors[op.outputs[0]].value_count if op.outputs else 0
    if op.name == "CONV_2D":  # filter: out, height, width, in / groups
        return output_count * math.prod(shape(1)[1:])
    if op.name == "DEPTHWISE_CONV_2D":  # filter: 1, height, width, out
        return output_count * math.prod(shape(1)[1:3])
    if op.name == "CONV_3D":  # filter: depth, height, width, in, out
        return output_count * math.prod(shape(1)[:-1])
    if op.name == "TRANSPOSE_CONV":  # inputs: output shape, filter, input
        return math.prod(shape(2)[:-1]) * math.prod(shape(1))
    if op.name == "FULLY_CONNECTED":  # filter: out, in
        return output_count * shape(1)[-1]
    if op.name == "BATCH_MATMUL":
        return output_count * shape(0)[-2 if op.options and op.options.adjX else -1]
    return 0


def op_names_used(model: TfliteModel) -> tuple[str, ...]:
    """Names of the ops of every subgraph, bodies of loops and branches included; sorted, once."""
    codes = model.root.operatorCodes or ()
    used = {op.opcodeIndex for graph in model.root.subgraphs for op in graph.operators or ()}
    return tuple(sorted({op_name(codes[index]) for index in used if 0 <= index < len(codes)}))
