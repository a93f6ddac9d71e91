"""`tfgreen report --html`: the pages of bundles, with their cost account where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tfgreen import manifest
from tfgreen.accounting.claims import claims_of
from tfgreen.accounting.record import FileAccount, FootprintReport, InferenceCost
from tfgreen.accounting.text import left_out
from tfgreen.benchmarking.files import read_files
from tfgreen.bundle import Bundle
from tfgreen.errors import UsageError
from tfgreen.footprint.amounts import Amount
from tfgreen.reporting.page import BundleReport, report_of
from tfgreen.reporting.page.record import CostAccount, RuntimeCost, Value


def bundle_reports(
    paths: Sequence[str | Path], account: FootprintReport | None = None
) -> list[BundleReport]:
    """The records of bundles' pages, rebuilt from what the bundles hold.

    Args:
        paths: bundle folders.
        account: what `tfgreen.report` found out about the same paths.

    Raises:
        UsageError: a path is no bundle: a file alone has no page.
        MissingPathError, InvalidModelError, IntegrityError: as `Bundle.read` does.
    """
    for path in paths:
        if not manifest.is_bundle(path):
            raise UsageError(
                f"A page is made of bundles, and {path} is none. Give a folder that "
                "`tfgreen export -o FOLDER/` wrote, or leave out --html and --markdown."
            )
    if account is None and len(paths) == 1:
        return [report_of(Bundle.read(paths[0]))]  # as it lies in the bundle
    return [
        report_of(
            Bundle.read(path),
            name=file.name,
            cost=None if account is None else cost_account(account, file.name),
        )
        for path, file in zip(paths, read_files(paths), strict=True)
    ]


def cost_account(report: FootprintReport, name: str) -> CostAccount:
    """What the report says of one file. Raises InvalidDataError where it has no such file."""
    account = report.file(name)
    alone = report.model_copy(
        update={
            "files": (account,),
            "lifetimes": tuple(one for one in report.lifetimes if one.file == name),
        }
    )
    return CostAccount(
        runtimes=tuple(_runtime(cost, _baseline(report, account)) for cost in account.inferences),
        absent=account.absent,
        claims=tuple(claims_of(alone)),
        left_out=tuple(left_out(report)),
        notes=report.notes,
    )


def _baseline(report: FootprintReport, account: FileAccount) -> FileAccount | None:
    if report.baseline is None or report.baseline == account.name:
        return None
    return report.file(report.baseline)


def _runtime(cost: InferenceCost, baseline: FileAccount | None) -> RuntimeCost:
    others = () if baseline is None else baseline.inferences
    before = next((one for one in others if one.where == cost.where), None)
    ratio = cost.ratio
    return RuntimeCost(
        where=cost.where,
        method=cost.method,
        how=cost.how,
        latency=_latency(cost),
        joules=Value.of(cost.per_thousand.joules),
        grams=_value(cost.per_thousand.grams),
        money_per_million=_value(cost.money_per_million),
        before_latency=None if before is None else _latency(before),
        before_joules=None if before is None else Value.of(before.per_thousand.joules),
        before_grams=None if before is None else _value(before.per_thousand.grams),
        ratio=(
            None if ratio is None else Value(typical=ratio.typical, low=ratio.low, high=ratio.high)
        ),
        baseline=None if ratio is None else ratio.baseline,
        break_even=None if cost.break_even is None else cost.break_even.sentence(),
    )


def _value(amount: Amount | None) -> Value | None:
    return None if amount is None else Value.of(amount)


def _latency(cost: InferenceCost) -> Value | None:
    """The median with its quartiles where it was timed here, else the number that was told."""
    if cost.spread is not None:
        return Value(
            typical=cost.spread.median_seconds,
            low=cost.spread.lower_quartile_seconds,
            high=cost.spread.upper_quartile_seconds,
        )
    return None if cost.latency_seconds is None else Value.exactly(cost.latency_seconds)
