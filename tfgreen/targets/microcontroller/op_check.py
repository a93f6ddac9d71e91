"""Every op of a file against what TensorFlow Lite Micro registers and computes rightly.

The structure gate asks whether the profile's list takes an op. Here the runtime itself is asked,
by the table of `benchmarks/micro_ops.py`, and each finding says which layer is behind it and what
to change. TFLM loads some of these files and computes something else in silence.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from tfgreen.flatbuffer import Op, TfliteModel, op_names_used
from tfgreen.profile import ExportProfile
from tfgreen.targets.layer_names import layer_clause
from tfgreen.targets.microcontroller.op_resolver import resolver_functions
from tfgreen.targets.microcontroller.registered_ops import registered_ops, way_out
from tfgreen.verification import Check
from tfgreen.verification.hybrid import is_hybrid
from tfgreen.verification.labels import counted, op_label, tensor_label

_TFLM = "TensorFlow Lite Micro"
_MOST_NAMED = 10


def check_ops(model: TfliteModel, profile: ExportProfile) -> tuple[Check, ...]:
    """All findings, or one passed check.

    Args:
        model: The file as it is shipped.
        profile: Its target; ops that only its list names are believed to be in the firmware.
    """
    found = [
        *islice(_missing(model, profile), _MOST_NAMED),
        *islice(_missing_in_bodies(model, profile), _MOST_NAMED),
        *islice(_misread(model, profile), _MOST_NAMED),
        *islice(_outside(model), _MOST_NAMED),
        *_halves(model, profile),
    ]
    if any(check.status == "failed" for check in found):
        return tuple(found)
    kinds = {(op.name, op.version) for op in model.ops if _is_registered(op.name)}
    whole = "every other op of the file" if found else "every op of the file"
    text = f"{_TFLM} has {whole}, {counted(len(kinds), 'kind')} by name and version"
    passed = Check(
        gate="structure",
        name="micro-ops",
        status="passed",
        message=f"{text} ({registered_ops().told}).",
        measured=len(kinds),
    )
    return (*found, passed)


def _missing(model: TfliteModel, profile: ExportProfile) -> Iterator[Check]:
    table = registered_ops()
    for op in model.ops:
        if op.name not in table.highest_version and _is_registered(op.name):
            continue  # a custom op that comes with TFLM
        named = op.name in (profile.ops or ())
        label, clause = op_label(model, op), layer_clause(model, op)
        highest = table.highest_version.get(op.name)
        if highest is None and named:
            text = (
                f"{label}{clause} is not in {_TFLM} ({table.told}); the profile takes it, so "
                "that the firmware has to register a kernel of its own for it."
            )
            yield _finding("ops", text, op, model, warns=True)
        elif highest is None:
            text = f"{label}{clause} is not in {_TFLM} ({table.told}): {way_out(op.name)}."
            yield _finding("ops", text, op, model)
        elif op.version > highest:
            text = (
                f"{label}{clause} is version {op.version} of its op, and {_TFLM} compares no "
                f"versions and is known to compute up to {highest} ({table.versions_source}): "
                "export again with the TensorFlow that tfgreen requires."
            )
            yield _finding("op-version", text, op, model)


def _missing_in_bodies(model: TfliteModel, profile: ExportProfile) -> Iterator[Check]:
    """Ops that only the bodies of loops and branches run; nothing but their names is known."""
    shown = {op.name for op in model.ops}
    for name in op_names_used(model):
        if name in shown or _is_registered(name) or name in (profile.ops or ()):
            continue
        text = (
            f"{name}, which the body of a loop or a branch runs, is not in {_TFLM} "
            f"({registered_ops().told}): {way_out(name)}."
        )
        yield Check(gate="structure", name="ops", status="failed", message=text, op=name)


def _is_registered(name: str) -> bool:
    return name in registered_ops().highest_version or name in resolver_functions()


def _misread(model: TfliteModel, profile: ExportProfile) -> Iterator[Check]:
    """Weights of integers beside activations of floats: refused, or read with a wrong scale."""
    for op in model.ops:
        label, clause = op_label(model, op), layer_clause(model, op)
        if is_hybrid(model, op):
            text = (
                f"{label}{clause} has integer weights and float activations, which {_TFLM} "
                f"refuses: {_export_again(profile)}."
            )
            yield _finding("float-island", text, op, model)
        elif op.name == "DEQUANTIZE" and _is_per_channel(model, op):
            text = (
                f"{label}{clause} widens weights that have a scale a channel, and {_TFLM} takes "
                f"the first channel's for all, in silence: {_export_again(profile)}."
            )
            yield _finding("surplus-conversion", text, op, model)


def _export_again(profile: ExportProfile) -> str:
    return f"export the float model again with calibration samples and profile {profile.name}"


def _is_per_channel(model: TfliteModel, op: Op) -> bool:
    quantization = model.tensors[op.inputs[0]].quantization
    return quantization is not None and quantization.scales.size > 1


def _outside(model: TfliteModel) -> Iterator[Check]:
    outside = [tensor.index for tensor in model.tensors if tensor.is_external]
    for index in outside:
        readers = model.consumers(index)
        clause = layer_clause(model, readers[0]) if readers else ""
        text = (
            f"The constant '{tensor_label(model, index)}'{clause} lies outside the flatbuffer, "
            f"where {_TFLM} reads nothing and says nothing: move it inside with "
            "tfgreen.flatbuffer.inline_external_buffers, or export with tfgreen."
        )
        yield Check(
            gate="structure",
            name="external-constants",
            status="failed",
            message=text,
            measured=len(outside),
            limit=0,
        )


def _halves(model: TfliteModel, profile: ExportProfile) -> Iterator[Check]:
    halves = [tensor for tensor in model.tensors if tensor.dtype in ("float16", "bfloat16")]
    if not halves:
        return
    readers = model.consumers(halves[0].index)
    clause = layer_clause(model, readers[0]) if readers else ""
    more = f" (and {counted(len(halves) - 1, 'more tensor')})" if len(halves) > 1 else ""
    text = (
        f"'{tensor_label(model, halves[0].index)}'{clause}{more} is {halves[0].dtype}, which "
        f"{_TFLM} refuses: {_export_again(profile)}."
    )
    yield Check(
        gate="structure", name="half-floats", status="failed", message=text, measured=len(halves)
    )


def _finding(name: str, text: str, op: Op, model: TfliteModel, *, warns: bool = False) -> Check:
    return Check(
        gate="structure",
        name=name,
        status="warning" if warns else "failed",
        message=text,
        op=op_label(model, op),
    )
