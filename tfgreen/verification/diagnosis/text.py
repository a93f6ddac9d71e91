"""A diagnosis in words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from tfgreen.verification.diagnosis.record import Diagnosis, Fault, LayerRow
from tfgreen.wording import share_text

_WIDTH = 96
_LONGEST_NAME = 44


def diagnosis_text(diagnosis: Diagnosis, layers: int) -> str:
    """The faults first, then the figures, then the layers that cause most of the error."""
    lines = [_headline(diagnosis)]
    for number, fault in enumerate(diagnosis.faults, start=1):
        lines += ["", *_fault_lines(number, fault)]
    lines += ["", _figures(diagnosis)]
    if layers and diagnosis.layers:
        lines += ["", *_table(diagnosis, layers)]
    return "\n".join(lines)


def _headline(diagnosis: Diagnosis) -> str:
    what = diagnosis.file or "The file"
    if diagnosis.is_healthy:
        return f"{what}: nothing is wrong beyond what the width costs."
    first = diagnosis.faults[0]
    where = f" at '{_short(first.layer)}'" if first.layer else ""
    more = len(diagnosis.faults) - 1
    rest = f" (and {more} more)" if more else ""
    return f"{what}: {first.cause.replace('-', ' ')}{where}{rest}."


def _fault_lines(number: int, fault: Fault) -> Iterator[str]:
    yield from textwrap.wrap(f"{number}. {fault.message}", _WIDTH, subsequent_indent="   ")
    if fault.share_of_final_error is not None:
        yield f"   It causes {share_text(fault.share_of_final_error, 0)} of the final error."
    yield from textwrap.wrap(
        f"What to do: {fault.remedy}", _WIDTH, initial_indent="   ", subsequent_indent="   "
    )
    numbers = ", ".join(f"{name} {value}" for name, value in fault.evidence.items())
    if numbers:
        yield from textwrap.wrap(
            f"Evidence: {numbers}", _WIDTH, initial_indent="   ", subsequent_indent="   "
        )


def _figures(diagnosis: Diagnosis) -> str:
    sqnr = "no error at all" if diagnosis.sqnr_db is None else f"{diagnosis.sqnr_db:.1f} dB"
    told = [f"Against the float model on {diagnosis.samples} samples: SQNR {sqnr}"]
    if diagnosis.agreement is not None:
        told.append(f"agreement {share_text(diagnosis.agreement)}")
    if diagnosis.float_accuracy is not None and diagnosis.file_accuracy is not None:
        told.append(
            f"accuracy {share_text(diagnosis.file_accuracy)} (float "
            f"{share_text(diagnosis.float_accuracy)})"
        )
    return ", ".join(told) + "."


def _table(diagnosis: Diagnosis, layers: int) -> Iterator[str]:
    worst = sorted(diagnosis.layers, key=lambda row: -row.share_of_final_error)[:layers]
    heads = " ".join(f"{head:>6}" for head in ("own", "ideal", "whole", "share"))
    yield f"{'op':>4} {'':20} {heads}  tensor   (SQNR, dB)"
    for row in sorted(worst, key=lambda row: row.op_index):
        yield _row(row)


def _row(row: LayerRow) -> str:
    figures = " ".join(
        f"{'' if value is None else format(value, '.1f'):>6}"
        for value in (row.own_sqnr_db, row.ideal_sqnr_db, row.inherited_sqnr_db)
    )
    index = "" if row.op_index < 0 else str(row.op_index)
    share = f"{share_text(row.share_of_final_error):>7}"
    return f"{index:>4} {row.op:20.20} {figures} {share}  {_short(row.tensor)}"


def _short(name: str | None) -> str:
    name = name or ""
    return name if len(name) <= _LONGEST_NAME else "…" + name[1 - _LONGEST_NAME :]
