"""The structure gate: what a file is made of, against what its profile accepts. Nothing runs."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tfgreen.errors import InvalidProfileError
from tfgreen.flatbuffer import Op, TfliteModel, op_names
from tfgreen.flatbuffer.facts import FLOAT_DTYPES
from tfgreen.profile import ExportProfile
from tfgreen.verification import weights
from tfgreen.verification.certificate import Check, CheckStatus, GateResult
from tfgreen.verification.conversions import CONVERSIONS, is_boundary, surplus_conversions
from tfgreen.verification.labels import counted, op_label, tensor_label
from tfgreen.verification.shipped import Shipped

_MOST_NAMED = 10
_PLAIN_INTEGERS = frozenset({"int32", "int64", "bool"})
_ACTIVATION_DTYPES = {"int8": "int8", "int16x8": "int16"}


def refuse_unknown_ops(profile: ExportProfile) -> None:
    """Raise InvalidProfileError if a profile allows an op that TFLite does not have."""
    known = op_names().values()
    for name in profile.ops or ():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            raise InvalidProfileError(
                f"Profile {profile.name} allows the op '{name}', which TFLite does not have.{hint} "
                "Expected the schema's names, as CONV_2D."
            )


def check_structure(
    shipped: Shipped,
    profile: ExportProfile,
    *,
    arena_bytes: int | None = None,
    allow_select_ops: bool = False,
) -> GateResult:
    """Judge a file without running it; every check is made, whatever the others find.

    Ops and dtypes are those of the file with plain weights; its bytes are what is shipped.

    Args:
        arena_bytes: What the micro kernels measured for the tensor arena; None if they did not.
        allow_select_ops: Let ops through that need the Flex delegate, as warnings.
    """
    model = shipped.plain
    checks = [
        *_boundary_dtypes(model, profile),
        *_batch(model, profile),
        *_allowed_ops(model, profile, allow_select_ops),
        *_float_islands(model, profile),
        *_surplus(model, profile),
        *_activation_dtypes(model, profile),
        *_weight_dtypes(model, profile),
        *_weight_scales(model, profile),
        *_scales(model),
        *_external_constants(model),
        *_subgraphs(model),
        *shipped.structure_checks(profile),
        _file_bytes(shipped.model, profile),
        *_arena_bytes(profile, arena_bytes),
    ]
    return GateResult.of("structure", checks)


def _check(name: str, status: CheckStatus, message: str, **facts: Any) -> Check:
    return Check(gate="structure", name=name, status=status, message=message, **facts)


def _each_failed(
    name: str, found: list[Op], message: Callable[[Op], str], model: TfliteModel
) -> list[Check]:
    """A failed check for each op, the first ten by name and the rest by their number."""
    checks = [
        _check(name, "failed", message(op), op=op_label(model, op)) for op in found[:_MOST_NAMED]
    ]
    rest = len(found) - _MOST_NAMED
    if rest > 0:
        checks.append(_check(name, "failed", f"The same is wrong with {counted(rest, 'more op')}."))
    return checks


def _boundary_dtypes(model: TfliteModel, profile: ExportProfile) -> Iterator[Check]:
    sides = (
        ("input", model.inputs, model.input_names, profile.input_type),
        ("output", model.outputs, model.output_names, profile.output_type),
    )
    for side, indices, names, expected in sides:
        for index, name in zip(indices, names, strict=True):
            dtype = model.tensors[index].dtype
            facts = {"measured": dtype, "limit": expected}
            text = f"The {side} '{name}' is {dtype}"
            if dtype == expected:
                yield _check(f"{side}-dtype", "passed", f"{text}, as the profile asks.", **facts)
            elif dtype in _PLAIN_INTEGERS:
                text += ": plain integers, which need no quantization."
                yield _check(f"{side}-dtype", "passed", text, **facts)
            else:
                text += f"; the profile asks for {expected}."
                yield _check(f"{side}-dtype", "failed", text, **facts)


def _batch(model: TfliteModel, profile: ExportProfile) -> Iterator[Check]:
    for index, name in zip(model.inputs, model.input_names, strict=True):
        tensor = model.tensors[index]
        if not tensor.shape:
            continue
        facts: dict[str, Any] = {"measured": tensor.shape[0], "limit": profile.batch}
        text = f"The input '{name}' takes {counted(tensor.shape[0], 'sample')} a call"
        if tensor.shape[0] != profile.batch:
            text += f"; the profile asks for {profile.batch}."
            yield _check("batch", "failed", text, **facts)
        elif tensor.has_dynamic_shape:
            strict = profile.kernel_sets.truth == "micro"
            status: CheckStatus = "failed" if strict else "warning"
            text = f"The input '{name}' has a dimension that is unknown until run time"
            yield _check("batch", status, f"{text}; export it with a fixed batch.", **facts)
        else:
            yield _check("batch", "passed", f"{text}.", **facts)


def _allowed_ops(
    model: TfliteModel, profile: ExportProfile, allow_select_ops: bool
) -> Iterator[Check]:
    allowed = None if profile.ops is None else frozenset(profile.ops)
    foreign: list[Op] = []
    for op in model.ops:
        if op.name.startswith("FLEX:") and allow_select_ops:
            text = f"{op_label(model, op)} runs only where the Flex delegate is linked in."
            yield _check("ops", "warning", text, op=op_label(model, op))
        elif op.name.startswith(("FLEX:", "CUSTOM:")) or (
            allowed is not None and op.name not in allowed
        ):
            foreign.append(op)
    if not foreign and not any(op.name.startswith("FLEX:") for op in model.ops):
        kinds = counted(len({op.name for op in model.ops}), "kind")
        text = f"The profile takes all {counted(len(model.ops), 'op')} ({kinds})."
        yield _check("ops", "passed", text)
    yield from _each_failed("ops", foreign, lambda op: _foreign(model, op), model)


def _foreign(model: TfliteModel, op: Op) -> str:
    if op.name.startswith("FLEX:"):
        return f"{op_label(model, op)} needs the Flex delegate, that is, TensorFlow on the target."
    if op.name.startswith("CUSTOM:"):
        return f"{op_label(model, op)} is a custom op, which no kernel set knows by itself."
    return f"{op_label(model, op)} is not among the ops that the profile's target takes."


def _float_islands(model: TfliteModel, profile: ExportProfile) -> Iterator[Check]:
    """Ops that compute in float although the profile is full-integer; conversions apart."""
    if not profile.full_integer:
        return
    islands = [
        op
        for op in model.ops
        if op.name not in CONVERSIONS
        and any(model.tensors[i].dtype in FLOAT_DTYPES for i in (*op.inputs, *op.outputs) if i >= 0)
    ]
    if not islands:
        boundary = [op for op in model.ops if is_boundary(model, op, profile)]
        text = f"No float op inside; {counted(len(boundary), 'conversion')} at the boundary."
        yield _check("float-island", "passed", text, measured=0, limit=0, unit="ops")
    yield from _each_failed("float-island", islands, lambda op: _island(model, op), model)


def _island(model: TfliteModel, op: Op) -> str:
    touched = (*op.outputs, *(i for i in op.inputs if i >= 0))
    floats = [i for i in touched if model.tensors[i].dtype in FLOAT_DTYPES]
    dtype, verdict = model.tensors[floats[0]].dtype, "a float island in a full-integer file"
    if floats[0] in op.outputs[:1]:
        return f"{op_label(model, op)} computes in {dtype}: {verdict}."
    label = tensor_label(model, floats[0])
    return f"{op_label(model, op)} touches the {dtype} tensor '{label}': {verdict}."


def _surplus(model: TfliteModel, profile: ExportProfile) -> Iterator[Check]:
    reasons = {op.index: reason for op, reason in surplus_conversions(model, profile)}
    surplus = [model.ops[index] for index in reasons]
    if not surplus:
        text = "No surplus QUANTIZE or DEQUANTIZE."
        yield _check("surplus-conversion", "passed", text, measured=0, limit=0, unit="ops")
    yield from _each_failed(
        "surplus-conversion",
        surplus,
        lambda op: f"{op_label(model, op)} {reasons[op.index]}.",
        model,
    )


def _activation_dtypes(model: TfliteModel, profile: ExportProfile) -> Iterator[Check]:
    """Quantized activations of another width than the scheme's (the boundary apart)."""
    expected = _ACTIVATION_DTYPES.get(profile.scheme)
    if expected is None:
        return
    boundary = {*model.inputs, *model.outputs}
    accepted = {expected}
    if profile.wider_layers == "allowed" and profile.scheme == "int8":
        accepted.add("int16")
    wrong = [
        op
        for op in model.ops
        for tensor in (model.tensors[i] for i in op.outputs)
        if tensor.quantization is not None
        and tensor.dtype not in accepted | FLOAT_DTYPES
        and not tensor.is_variable
        and tensor.index not in boundary
    ]
    if not wrong:
        wide = sum(model.tensors[i].dtype == "int16" for op in model.ops for i in op.outputs)
        text = f"Every quantized activation is {expected}."
        if wide and expected != "int16":
            text = f"Every quantized activation is {expected}, but for {wide} of 16 bits."
        yield _check("activation-dtype", "passed", text, measured=expected, limit=expected)

    def message(op: Op) -> str:
        dtype = model.tensors[op.outputs[0]].dtype
        return f"{op_label(model, op)} writes {dtype}; the scheme {profile.scheme} has {expected}."

    yield from _each_failed("activation-dtype", wrong, message, model)


def _weight_scales(model: TfliteModel, profile: ExportProfile) -> Iterator[Check]:
    """Weights with a scale for each channel, where the target takes one in all."""
    if profile.weight_scales == "channel":
        return
    stored = [(op, t.quantization) for op, t in weights.stored_weights(model) if t.quantization]
    wrong = [op for op, facts in stored if facts is not None and facts.scales.size > 1]
    if not wrong:
        yield _check("weight-scales", "passed", "Every weight has one scale.")

    def message(op: Op) -> str:
        return f"The weights of {op_label(model, op)} have a scale a channel; the target takes one."

    yield from _each_failed("weight-scales", wrong, message, model)


def _weight_dtypes(model: TfliteModel, profile: ExportProfile) -> Iterator[Check]:
    expected = weights.expected_dtypes(profile)
    stored = list(weights.stored_weights(model))
    wrong = {op.index: tensor for op, tensor in weights.misfits(model, profile)}
    if profile.scheme == "weights-int4" and all(t.dtype != "int4" for _, t in stored):
        text = "No weight is stored in 4 bits, which is what the scheme weights-int4 promises."
        yield _check("weight-dtype", "failed", text, measured=0, limit=1, unit="int4 weights")
    elif not wrong:
        text = f"All {counted(len(stored), 'weight')} are {expected} or small enough to stay."
        if profile.full_integer or profile.scheme == "float16":
            text = f"All {counted(len(stored), 'weight')} are {expected}."
        yield _check("weight-dtype", "passed", text, limit=expected)

    def message(op: Op) -> str:
        tensor = wrong[op.index]
        return (
            f"{op_label(model, op)} stores {counted(tensor.value_count, 'weight')} as "
            f"{tensor.dtype}; the scheme {profile.scheme} has {expected}."
        )

    found = [model.ops[index] for index in wrong]
    yield from _each_failed("weight-dtype", found, message, model)


def _scales(model: TfliteModel) -> Iterator[Check]:
    """A scale of zero, or one that is not finite, makes every value of its tensor the same."""
    for tensor in model.tensors:
        if tensor.quantization is None:
            continue
        scales = tensor.quantization.scales
        if not (np.isfinite(scales).all() and (scales > 0).all()):
            label = tensor_label(model, tensor.index)
            text = f"Tensor '{label}' has a quantization scale that is not positive and finite."
            yield _check("scale", "failed", text)


def _external_constants(model: TfliteModel) -> Iterator[Check]:
    outside = [tensor for tensor in model.tensors if tensor.is_external]
    for tensor in outside[:_MOST_NAMED]:
        label = tensor_label(model, tensor.index)
        text = f"The constant '{label}' lies outside the flatbuffer, where micro reads nothing."
        yield _check("external-constants", "failed", text, measured=len(outside), limit=0)
    if not outside:
        text = "Every constant lies inside the flatbuffer."
        yield _check("external-constants", "passed", text, measured=0, limit=0)


def _subgraphs(model: TfliteModel) -> Iterator[Check]:
    further = model.subgraph_count - 1
    if further:
        text = (
            f"Only the first subgraph is judged; {counted(further, 'further subgraph')} (control "
            "flow or more signatures) are not."
        )
        yield _check("subgraphs", "warning", text, measured=model.subgraph_count, limit=1)


def _file_bytes(model: TfliteModel, profile: ExportProfile) -> Check:
    size, budget = len(model.content), profile.budgets.file_bytes
    return within_budget("file-bytes", "The file takes", size, budget)


def _arena_bytes(profile: ExportProfile, arena_bytes: int | None) -> Iterator[Check]:
    budget = profile.budgets.arena_bytes
    if arena_bytes is not None:
        text = "The tensor arena takes (on this 64-bit host)"
        yield within_budget("arena-bytes", text, arena_bytes, budget)
    elif budget is not None:
        text = (
            f"The arena budget of {budget:,} bytes was not checked: it takes a run on the micro "
            "kernels."
        )
        facts = {"limit": budget, "unit": "bytes"}
        yield _check("arena-bytes", "warning", text, **facts)


def within_budget(name: str, text: str, size_bytes: int, budget_bytes: int | None) -> Check:
    """The check of a size; `text` comes before the number, as "The file takes"."""
    facts = {"measured": size_bytes, "limit": budget_bytes, "unit": "bytes"}
    text = f"{text} {counted(size_bytes, 'byte')}"
    if budget_bytes is None:
        return _check(name, "passed", f"{text}; the profile sets no budget.", **facts)
    if size_bytes <= budget_bytes:
        return _check(name, "passed", f"{text} of {budget_bytes:,}.", **facts)
    over = counted(size_bytes - budget_bytes, "byte")
    return _check(name, "failed", f"{text}, {over} over the budget of {budget_bytes:,}.", **facts)
