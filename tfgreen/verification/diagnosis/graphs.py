"""Faults that show in the graph alone: float islands, chains of requantization, BatchNormalization.

They need not cost accuracy; they cost time, and each conversion rounds once more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tfgreen.flatbuffer import Op, TfliteModel
from tfgreen.flatbuffer.facts import FLOAT_DTYPES
from tfgreen.verification.conversions import CONVERSIONS
from tfgreen.verification.diagnosis.record import Fault
from tfgreen.verification.labels import counted, op_label
from tfgreen.verification.weights import stored_weights

_LINEAR = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
_CHAINED = 2
_OF_SPREAD = frozenset(
    {"range-too-wide", "range-too-narrow", "huge-channel", "per-channel-spread", "unexplained"}
)


def graph_faults(model: TfliteModel) -> Iterator[Fault]:
    """What is wrong with a quantized file's graph, in its order."""
    yield from _islands(model)
    yield from _chains(model)
    yield from _unfolded(model)


def absorbed(model: TfliteModel, faults: Sequence[Fault], found: Sequence[Fault]) -> list[Fault]:
    """Faults of layers, with one BatchNormalization in place of those that not folding it causes.

    Args:
        faults: of layers, in the file's order. found: what the graph alone tells.
    """
    kept = list(faults)
    for one in found:
        if one.cause != "batch-normalization" or one.op_index is None:
            continue
        beside = _beside(model, model.ops[one.op_index])
        caused = [fault for fault in kept if fault.op_index in beside and fault.cause in _OF_SPREAD]
        if caused:
            share = max(fault.share_of_final_error or 0.0 for fault in caused)
            first = kept.index(caused[0])
            kept = [fault for fault in kept if fault not in caused]
            kept.insert(first, one.model_copy(update={"share_of_final_error": share}))
    return kept


def _beside(model: TfliteModel, op: Op) -> set[int]:
    """A factor's op, the linear op before it and the offset behind it."""
    before = [model.producer(index) for index in op.inputs]
    behind = [one for one in model.consumers(op.outputs[0]) if one.name in ("ADD", "SUB")]
    return {one.index for one in (op, *before, *behind) if one is not None}


def _islands(model: TfliteModel) -> Iterator[Fault]:
    """Runs of float ops that start from integers and end in integers again."""
    known: set[int] = set()
    for op in model.ops:
        if op.index in known or not _leaves_integers(model, op):
            continue
        island = _float_region(model, op)
        known |= {one.index for one in island}
        inside = [one for one in island if one.name not in CONVERSIONS]
        comes_back = any(
            reader.name == "QUANTIZE" or _is_integer(model, reader)
            for one in island
            for index in one.outputs
            for reader in model.consumers(index)
        )
        if not inside or not comes_back:
            continue
        first = inside[0]
        names = ", ".join(dict.fromkeys(one.name for one in inside))
        yield Fault(
            cause="float-island",
            layer=model.tensors[first.outputs[0]].name,
            op_index=first.index,
            op=first.name,
            message=f"A float island inside the integer graph: {counted(len(inside), 'op')} from "
            f"{op_label(model, first)} on ({names}). Values are converted there and back.",
            remedy="Replace the ops by ones that the quantizer knows (tfgreen export rewrites the "
            "usual ones), or calibrate again so that they get ranges.",
            evidence={"float_ops": len(inside), "ops": names},
        )


def _leaves_integers(model: TfliteModel, op: Op) -> bool:
    """A DEQUANTIZE of an activation."""
    source = model.tensors[op.inputs[0]] if op.inputs and op.inputs[0] >= 0 else None
    computed = source is not None and not source.is_constant
    integer = source is not None and source.quantization is not None
    return op.name == "DEQUANTIZE" and computed and integer and op.inputs[0] not in model.inputs


def _float_region(model: TfliteModel, start: Op) -> list[Op]:
    """The float ops that can be reached from one op."""
    found: dict[int, Op] = {}
    pending = [start]
    while pending:
        op = pending.pop()
        if op.index in found:
            continue
        found[op.index] = op
        for index in op.outputs:
            pending += [
                reader
                for reader in model.consumers(index)
                if reader.name != "QUANTIZE" and not _is_integer(model, reader)
            ]
    return [found[index] for index in sorted(found)]


def _is_integer(model: TfliteModel, op: Op) -> bool:
    return bool(op.outputs) and model.tensors[op.outputs[0]].dtype not in FLOAT_DTYPES


def _chains(model: TfliteModel) -> Iterator[Fault]:
    """Conversions one behind the other, with nothing computed between."""
    for op in model.ops:
        if op.name not in CONVERSIONS or _follows_conversion(model, op):
            continue
        chain = [op]
        while following := _sole_conversion(model, chain[-1]):
            chain.append(following)
        if len(chain) < _CHAINED or not _is_requantizing(model, chain):
            continue
        last = chain[-1]
        yield Fault(
            cause="requantize-chain",
            layer=model.tensors[last.outputs[0]].name,
            op_index=op.index,
            op=op.name,
            message=f"{counted(len(chain), 'conversion')} one behind the other at "
            f"{op_label(model, op)}, with nothing computed between: each rounds once more.",
            remedy="Give both sides one scale, so that none is needed.",
            evidence={"conversions": len(chain)},
        )


def _follows_conversion(model: TfliteModel, op: Op) -> bool:
    before = model.producer(op.inputs[0])
    return before is not None and before.name in CONVERSIONS


def _sole_conversion(model: TfliteModel, op: Op) -> Op | None:
    readers = model.consumers(op.outputs[0])
    return next((reader for reader in readers if reader.name in CONVERSIONS), None)


def _is_requantizing(model: TfliteModel, chain: list[Op]) -> bool:
    """Not just a boundary: integers go in and come out, or it is longer than a round trip."""
    first, last = model.tensors[chain[0].inputs[0]], model.tensors[chain[-1].outputs[0]]
    return (
        first.dtype not in FLOAT_DTYPES
        and not first.is_constant
        or (last.dtype not in FLOAT_DTYPES and len(chain) > _CHAINED)
    )


def _unfolded(model: TfliteModel) -> Iterator[Fault]:
    """A factor a channel right behind a linear op that nothing else reads: it could be folded."""
    weighted = {op.index for op, _ in stored_weights(model)}
    for op in model.ops:
        if op.name not in _LINEAR or op.index not in weighted or _is_activated(op):
            continue
        readers = model.consumers(op.outputs[0])
        if len(readers) != 1 or readers[0].name != "MUL" or op.outputs[0] in model.outputs:
            continue
        factor = _channel_constant(model, readers[0], op.outputs[0])
        if factor is None:
            continue
        yield Fault(
            cause="batch-normalization",
            layer=model.tensors[readers[0].outputs[0]].name,
            op_index=readers[0].index,
            op=readers[0].name,
            message=f"A factor a channel follows {op_label(model, op)} as an op of its own: a "
            "BatchNormalization that was not folded into the weights. Its input is rounded once "
            "more, in a range that holds channels of very different size.",
            remedy="Fold it before the export: tfgreen.fold_batch_normalization(model).",
            evidence={"channels": factor},
        )


def _is_activated(op: Op) -> bool:
    return bool(getattr(op.options, "fusedActivationFunction", 0))


def _channel_constant(model: TfliteModel, op: Op, source: int) -> int | None:
    """How many channels a constant operand has that has one value for each."""
    channels = (model.tensors[source].shape or (1,))[-1]
    for index in op.inputs:
        tensor = model.tensors[index]
        if index != source and tensor.is_constant and tensor.value_count == channels > 1:
            return channels
    return None
