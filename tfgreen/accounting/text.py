"""A footprint report for terminals."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType

from tfgreen.accounting.record import FileAccount, FootprintReport
from tfgreen.footprint.amounts import Amount
from tfgreen.footprint.rates import Rates
from tfgreen.footprint.wording import (
    amount_text,
    count_text,
    kwh_text,
    plain_amount_text,
    quantity_text,
    seconds_text,
)
from tfgreen.reporting.tables import bullet, heading, table, to_text
from tfgreen.reporting.wording import bytes_text
from tfgreen.wording import ABSENT

_WIDTH = 160


def report_text(report: FootprintReport) -> str:
    """The report as plain text."""
    return to_text(render_report(report), _WIDTH)


def render_report(report: FootprintReport, *, short: bool = False) -> RenderableType:
    """Claims alone when short; else the tables before them and the notes after."""
    claims = [bullet(claim) for claim in report.claims]
    if short:
        return Group(*claims)
    return Group(
        *_tables(report),
        heading("Claims", "each can be quoted alone"),
        *claims,
        heading("What the figures do not say"),
        *(bullet(f"{one.name}: {why}") for one in report.files for why in one.absent),
        *(bullet(f"Left out: {what}.") for what in left_out(report)),
        *(bullet(note) for note in report.notes),
    )


def _tables(report: FootprintReport) -> Iterator[RenderableType]:
    has_npu = any(one.npu_cycles is not None for one in report.files)
    columns = ("file", "=width", ">bytes", ">MACs", ">bytes moved", ">NPU cycles (Vela)")
    yield table(
        "One inference, whatever the hardware",
        columns if has_npu else columns[:-1],
        [_work_row(one)[: len(columns) - (not has_npu)] for one in report.files],
    )
    yield table(
        "1,000 inferences",
        ("file", "=on", ">processor time", "energy", "=method",
         *_money_columns(report.rates, "money a million"), "of the baseline's", "break-even"),
        [row for one in report.files for row in _inference_rows(one, report.rates)],
        f"baseline: {report.baseline}" if report.baseline else "",
    )  # fmt: skip
    rows = [row for one in report.files for row in _stage_rows(one, report.rates)]
    if rows:
        columns = ("file", "stage", ">processor time", ">time", "energy", "=method")
        yield table("Spent once", (*columns, *_money_columns(report.rates)), rows)
    if report.lifetimes:
        yield table(
            f"{count_text(report.lifetimes[0].inferences)} inferences",
            ("file", "=on", "energy of inference", "spent once", "=method",
             *_money_columns(report.rates)),
            [
                (
                    one.file,
                    one.where,
                    kwh_text(one.inference.kwh),
                    ABSENT if one.once is None else kwh_text(one.once.kwh),
                    one.method,
                    *_money_cells(one.total.grams, one.total.money, report.rates),
                )
                for one in report.lifetimes
            ],
            "carbon and money of both together",
        )  # fmt: skip


def _work_row(account: FileAccount) -> tuple[str, ...]:
    cycles = account.npu_cycles
    return (
        account.name,
        account.width,
        bytes_text(account.size_bytes),
        f"{account.work.multiply_accumulates:,}",
        bytes_text(account.work.moved_bytes),
        ABSENT if cycles is None else f"{cycles:,}",
    )


def _inference_rows(account: FileAccount, rates: Rates) -> Iterator[tuple[str, ...]]:
    for cost in account.inferences:
        ratio = cost.ratio
        seconds = cost.cpu_seconds
        yield (
            account.name,
            cost.where,
            ABSENT if seconds is None else seconds_text(seconds * 1000),
            amount_text(cost.per_thousand.joules, "J"),
            cost.method,
            *_money_cells(cost.per_thousand.grams, cost.money_per_million, rates),
            ABSENT
            if ratio is None
            else f"{ratio.typical:.2f} ({ratio.low:.2f} to {ratio.high:.2f})",
            ABSENT if cost.break_even is None else cost.break_even.sentence(),
        )


def _stage_rows(account: FileAccount, rates: Rates) -> Iterator[tuple[str, ...]]:
    for name, spent in account.stages.items():
        total = spent.total
        yield (
            account.name,
            name,
            seconds_text(total.cpu_seconds),
            seconds_text(total.wall_seconds),
            amount_text(total.joules, "J"),
            f"{total.method} ({', '.join(total.sources)})",
            *_money_cells(spent.price.grams, spent.price.money, rates),
        )


def _money_columns(rates: Rates, money: str = "money") -> tuple[str, ...]:
    carbon = ("CO2e",) if rates.grid is not None else ()
    priced = rates.price_per_kwh is not None or rates.price_per_cpu_hour is not None
    return (*carbon, *((money,) if priced else ()))


def _money_cells(grams: Amount | None, money: Amount | None, rates: Rates) -> tuple[str, ...]:
    cells = []
    if rates.grid is not None:
        cells.append(ABSENT if grams is None else amount_text(grams, "g"))
    if len(_money_columns(rates)) > len(cells):
        cells.append(ABSENT if money is None else plain_amount_text(money))
    return tuple(cells)


def left_out(report: FootprintReport) -> list[str]:
    """What no figure of the report holds, in words."""
    every = [what for one in report.files for cost in one.inferences for what in cost.leaves_out]
    found = list(dict.fromkeys(every))
    if report.rates.embodied is None:
        found.append("carbon of making the hardware (none was stated)")
    else:
        spread = quantity_text(report.rates.embodied.grams, "g")
        found.append(f"carbon of making the hardware beyond the stated {spread}, in the SCI alone")
    return found
