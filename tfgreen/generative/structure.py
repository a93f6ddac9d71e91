"""What an exported decoder is made of; nothing runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfgreen.flatbuffer import TfliteModel
from tfgreen.generative.layout import DECODE, PREFILL, SCORE
from tfgreen.generative.schemes import Scheme, layer_weights
from tfgreen.generative.signatures import signature_models
from tfgreen.verification.certificate import Check

_BITS = {
    "float32": 32, "float16": 16, "dynamic-int8": 8, "weights-int8": 8, "int4": 4,
    "int4-block32": 4, "mixed-int4-int8": 4,
}  # fmt: skip
_DTYPES: Mapping[str, frozenset[str]] = {
    "float32": frozenset({"float32"}),
    "float16": frozenset({"float16"}),
    "dynamic-int8": frozenset({"int8"}),
    "weights-int8": frozenset({"int8"}),
    "int4": frozenset({"int4", "int8"}),
    "int4-block32": frozenset({"int4", "int8"}),
    "mixed-int4-int8": frozenset({"int4", "int8"}),
}
_NEEDED = {"int4": "int4", "int4-block32": "int4"}
_LARGEST_SHARE = 2.5
_SPARE_BYTES = 1024**2


def checks(content: bytes, scheme: Scheme, parameters: int) -> list[Check]:
    """Size, signatures, ops and weight dtypes of a file of a model with so many parameters."""
    models = signature_models(content)
    return [
        _size(content, scheme, parameters),
        _signatures(models),
        _ops(models),
        _dtypes(models[SCORE], scheme),
    ]


def _size(content: bytes, scheme: Scheme, parameters: int) -> Check:
    least = parameters * _BITS[scheme] // 8
    most = int(least * _LARGEST_SHARE) + _SPARE_BYTES
    is_fine = 0.95 * least <= len(content) <= most
    return _check(
        "file-bytes", is_fine,
        f"{len(content):,} bytes; {parameters:,} parameters at {_BITS[scheme]} bits are "
        f"{least:,}" + ("." if is_fine else ": the size is implausible."),
        measured=len(content), unit="bytes",
    )  # fmt: skip


def _signatures(models: Mapping[str, TfliteModel]) -> Check:
    has_prefill = any(name.startswith(PREFILL) for name in models)
    is_fine = has_prefill and {DECODE, SCORE} <= set(models)
    return _check("signatures", is_fine, f"Signatures: {', '.join(sorted(models))}.")


def _ops(models: Mapping[str, TfliteModel]) -> Check:
    foreign = {op.name for model in models.values() for op in model.ops if ":" in op.name}
    names = ", ".join(sorted(foreign))
    return _check(
        "ops", not foreign, f"Ops that are not built in: {names}." if foreign else "Builtin ops."
    )


def _dtypes(model: TfliteModel, scheme: Scheme) -> Check:
    found = set()
    for index in layer_weights(model).values():
        found.add(model.tensors[model.ops[index].inputs[1]].dtype)
    # float16 and weight-only files convert their weights before the layer reads them.
    for op in model.ops:
        source = model.tensors[op.inputs[0]] if op.inputs and op.inputs[0] >= 0 else None
        if op.name == "DEQUANTIZE" and source is not None and source.is_constant:
            found.add(source.dtype)
    odd = found - _DTYPES[scheme]
    message = f"Weights are {', '.join(sorted(found))}."
    is_missed = scheme in _NEEDED and _NEEDED[scheme] not in found
    if is_missed:
        message += (
            f" No layer has {_NEEDED[scheme]}: blocks of 32 need layers whose inputs are a multiple"
            " of 32. Take another scheme or other widths."
        )
    return _check("weights", bool(found) and not odd and not is_missed, message)


def _check(name: str, is_fine: bool, message: str, **facts: Any) -> Check:
    status = "passed" if is_fine else "failed"
    return Check.model_validate(
        {"gate": "structure", "name": name, "status": status, "message": message, **facts}
    )
