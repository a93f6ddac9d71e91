"""Which layer needs the most of the arena, and what would lower it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfgreen.flatbuffer import Op, TfliteModel
from tfgreen.targets.layer_names import layer_of
from tfgreen.targets.microcontroller.planner import Buffer, Plan, plan_arena
from tfgreen.verification.labels import counted, op_label, tensor_label

# Ops that read and write as many channels: one layer's width goes through them.
_KEEPS_CHANNELS = frozenset(
    {
        "ABS", "ADD", "AVERAGE_POOL_2D", "DEPTHWISE_CONV_2D", "ELU", "HARD_SWISH", "LEAKY_RELU",
        "LOGISTIC", "MAXIMUM", "MAX_POOL_2D", "MINIMUM", "MIRROR_PAD", "MUL", "PAD", "PADV2",
        "PRELU", "QUANTIZE", "RELU", "RELU6", "SUB", "TANH",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Peak:
    """The step at which most of the arena's head is in use.

    Attributes:
        op: The op that runs then.
        used_bytes: What has to be kept at that step.
        buffers: What it is made of, the largest first.
        as_large: How many steps need as much, this one included.
        narrower: The layer whose half width would lower the head the most, with the head that
            would be left; None where no layer's would.
    """

    op: Op
    used_bytes: int
    buffers: tuple[Buffer, ...]
    as_large: int
    narrower: tuple[str, int] | None


def peak_of(model: TfliteModel, plan: Plan) -> Peak | None:
    """The first step of those that need the most; None for a file without ops."""
    steps = range(1, len(model.ops) + 1)
    if not steps or not plan.buffers:
        return None
    used = [plan.used_bytes(step) for step in steps]
    most = max(used)
    position = used.index(most)
    alive = sorted(plan.alive_at(steps[position]), key=lambda buffer: -buffer.size_bytes)
    narrower = _narrower(model, plan, alive)
    return Peak(model.ops[position], most, tuple(alive), used.count(most), narrower)


def told(model: TfliteModel, plan: Plan, peak: Peak) -> str:
    """The peak in a few sentences, with what would lower it."""
    parts = ", ".join(f"{buffer_name(model, one)} {one.size_bytes:,}" for one in peak.buffers[:4])
    more = f" and {counted(len(peak.buffers) - 4, 'other')}" if len(peak.buffers) > 4 else ""
    text = f"{_owner(model, peak.op)} needs the most: {peak.used_bytes:,} bytes ({parts}{more})."
    gaps = plan.head_bytes - peak.used_bytes
    if gaps > 0:
        text += f" Gaps between tensors take {gaps:,} more."
    advice = remedy(model, peak)
    if peak.narrower is not None:
        advice += f", the head to {peak.narrower[1]:,}"
    return f"{text} {advice[0].upper()}{advice[1:]}."


def remedy(model: TfliteModel, peak: Peak) -> str:
    """What would lower the arena, as a clause."""
    if peak.narrower is not None:
        return f"half the channels in {peak.narrower[0]} would lower it"
    if peak.as_large > 1:
        owner = layer_of(model, peak.op) or op_label(model, peak.op)
        alike = counted(peak.as_large, "op")
        return f"narrow '{owner}' and all that need as much ({alike}), or make the input smaller"
    return "make the input smaller"


def peak_facts(model: TfliteModel, plan: Plan, peak: Peak) -> Mapping[str, Any]:
    """The peak, ready for JSON."""
    return {
        "op": op_label(model, peak.op),
        "layer": layer_of(model, peak.op),
        "used_bytes": peak.used_bytes,
        "tensors": [
            {"name": buffer_name(model, one), "size_bytes": one.size_bytes} for one in peak.buffers
        ],
        "told": told(model, plan, peak),
    }


def buffer_name(model: TfliteModel, buffer: Buffer) -> str:
    """What a buffer holds, for people: "output of 'dense'", "input 'image'"."""
    if buffer.tensor is None:
        return "working memory"
    if buffer.tensor in model.inputs:
        return f"input '{model.input_names[model.inputs.index(buffer.tensor)]}'"
    writer = model.producer(buffer.tensor)
    layer = layer_of(model, writer) if writer is not None else None
    return f"output of '{layer or tensor_label(model, buffer.tensor)}'"


def _owner(model: TfliteModel, op: Op) -> str:
    layer = layer_of(model, op)
    return f"Layer '{layer}' ({op.name})" if layer else op_label(model, op)


def _narrower(model: TfliteModel, plan: Plan, alive: list[Buffer]) -> tuple[str, int] | None:
    """Of the layers whose tensors live at the peak, the one whose half width helps the most."""
    best: tuple[str, int] | None = None
    for buffer in alive:
        group = _same_width(model, buffer.tensor) if buffer.tensor is not None else frozenset()
        if not group or group & {*model.inputs, *model.outputs}:
            continue
        halved = plan_arena(model, dict.fromkeys(group, 2))
        head = halved.head_bytes if halved is not None else plan.head_bytes
        if head < (best[1] if best else plan.head_bytes):
            best = _source(model, group), head
    return best


def _same_width(model: TfliteModel, tensor: int) -> frozenset[int]:
    """The activations that have to have as many channels as one of them."""
    group, found = {tensor}, [tensor]
    while found:
        index = found.pop()
        writer = model.producer(index)
        for op in (*model.consumers(index), *([writer] if writer is not None else [])):
            if op.name not in _KEEPS_CHANNELS:
                continue
            touched = (i for i in (*op.inputs, *op.outputs) if i >= 0)
            new = {i for i in touched if not model.tensors[i].is_constant} - group
            group |= new
            found += new
    return frozenset(group)


def _source(model: TfliteModel, group: frozenset[int]) -> str:
    """The layers that decide how wide a group is: those that write into it from outside."""
    writers = [op for op in model.ops if op.outputs and op.outputs[0] in group]
    names = [
        layer_of(model, op) or op_label(model, op)
        for op in writers
        if op.name not in _KEEPS_CHANNELS
    ]
    return " and ".join(f"'{name}'" for name in dict.fromkeys(names)) or "the layer"
