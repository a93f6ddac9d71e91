"""What the rules of the Edge TPU say about a file: checks, facts, the command to run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfgreen.targets.coral.checking import ON_CHIP_BYTES, EdgeTpuFit, Objection
from tfgreen.targets.report import TargetReport
from tfgreen.verification.certificate import Check, CheckStatus
from tfgreen.verification.labels import counted
from tfgreen.wording import share_text

COMMAND = "edgetpu_compiler -s model.tflite"

_MOST_NAMED = 10


def coral_report(fit: EdgeTpuFit) -> TargetReport:
    """The checks, facts and notes of a file that was held against the published rules.

    An op that stays on the CPU is a warning. A file of which the compiler takes nothing fails.
    """
    checks = (
        *(_refusals(fit) if fit.refusals else _mapping(fit)),
        *_objections(fit.objections),
        _parameters(fit),
    )
    return TargetReport(checks, {"edgetpu": fit.to_facts()}, notes=tuple(_notes(fit)))


def _check(name: str, status: CheckStatus, message: str, **facts: Any) -> Check:
    return Check(gate="structure", name=name, status=status, message=message, **facts)


def _refusals(fit: EdgeTpuFit) -> Iterator[Check]:
    for refusal in fit.refusals:
        yield _check("edgetpu-tensors", "failed", refusal)


def _mapping(fit: EdgeTpuFit) -> Iterator[Check]:
    text = "Every tensor has a dtype and a fixed size that the Edge TPU takes."
    yield _check("edgetpu-tensors", "passed", text)
    left = fit.op_count - fit.mapped_op_count
    facts: dict[str, Any] = {"measured": left, "limit": 0, "unit": "ops"}
    whole = counted(fit.op_count, "op")
    if not left:
        text = f"By the published rules the Edge TPU takes all {whole} of the file."
        yield _check("edgetpu-mapping", "passed", text, **facts)
        return
    first = fit.objections[0]
    named = f"{first.op}{first.where}"
    if fit.mapped_op_count:
        macs = (
            f", {share_text(fit.mapped_macs / fit.macs)} of the multiply-accumulates"
            if fit.macs
            else ""
        )
        taken = f"{fit.mapped_op_count} of {whole}{macs}"
        text = f"takes {taken}: {named} and all after it stay on the CPU"
    else:
        text = f"takes none of {whole}: the first, {named}, {first.told}; {first.way_out}"
    status: CheckStatus = "warning" if fit.mapped_op_count else "failed"
    text = f"By the published rules the Edge TPU {text}."
    yield _check("edgetpu-mapping", status, text, **facts)


def _objections(objections: tuple[Objection, ...]) -> Iterator[Check]:
    for one in objections[:_MOST_NAMED]:
        text = f"On the Edge TPU {one.op}{one.where} {one.told}; {one.way_out}."
        yield _check("edgetpu-op", "warning", text, op=one.op)
    rest = len(objections) - _MOST_NAMED
    if rest > 0:
        text = f"The Edge TPU does not take {counted(rest, 'more op')}."
        yield _check("edgetpu-op", "warning", text)


def _parameters(fit: EdgeTpuFit) -> Check:
    facts = {"measured": fit.parameter_bytes, "limit": ON_CHIP_BYTES, "unit": "bytes"}
    text = f"The weights take {counted(fit.parameter_bytes, 'byte')}"
    if fit.parameter_bytes <= ON_CHIP_BYTES:
        text += f" of the about {ON_CHIP_BYTES:,} on the chip."
        return _check("edgetpu-memory", "passed", text, **facts)
    text += (
        f", more than the about {ON_CHIP_BYTES:,} on the chip: the rest is streamed for every "
        "inference; take a smaller network for full speed."
    )
    return _check("edgetpu-memory", "warning", text, **facts)


def _notes(fit: EdgeTpuFit) -> Iterator[str]:
    yield (
        "Google's edgetpu_compiler cannot be had here: its published rules were checked. Run "
        f"`{COMMAND}` on Debian for x86-64; its log tells which ops it mapped."
    )
    if fit.undecided:
        ops = ", ".join(fit.undecided[:3]) + (" and others" if len(fit.undecided) > 3 else "")
        yield f"Depending on its sizes the Edge TPU may leave on the CPU: {ops}."
