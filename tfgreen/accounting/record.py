"""`FootprintReport`: what files cost and save, with how everything is known."""

from __future__ import annotations

from typing import ClassVar, Literal

from tfgreen.benchmarking.record import Host
from tfgreen.benchmarking.timings import Spread
from tfgreen.errors import InvalidDataError
from tfgreen.footprint.amounts import Amount, NotNegative, Sentence
from tfgreen.footprint.break_even import BreakEven
from tfgreen.footprint.entry import Total
from tfgreen.footprint.estimate import Watts, Work
from tfgreen.footprint.rates import Rates, Sci
from tfgreen.footprint.reading import Method
from tfgreen.records import Document, Record

SCHEMA_VERSION: Literal[1] = 1
DEVICE = "device"


class Price(Record):
    """Joules with what they stand for; grams and money are None where nobody named a factor."""

    joules: Amount
    kwh: Amount
    grams: Amount | None
    money: Amount | None


class CostRatio(Record):
    """A file's cost of one inference over the baseline's; the watts cancel.

    method: of the energy that it stands for: "modelled" for processor seconds, at equal watts.
    low, high: the 95 % interval of the rounds for processor seconds; of the bounds for joules.
    """

    baseline: str
    basis: Literal["processor seconds", "joules"]
    method: Method
    low: NotNegative
    typical: NotNegative
    high: NotNegative


class InferenceCost(Record):
    """One inference of a file on one runtime.

    where: a kernel set of this machine, with one thread, or "device".
    cpu_seconds, latency_seconds: None where they say nothing, or nobody told.
    spread: of the latency, where it was timed here.
    per_thousand: 1,000 inferences. money_per_million: of a million, None without a price.
    sci: of 1,000 inferences, None without a grid factor.
    """

    where: str
    method: Method
    how: Sentence
    leaves_out: tuple[Sentence, ...]
    cpu_seconds: NotNegative | None
    latency_seconds: NotNegative | None
    spread: Spread | None = None
    per_thousand: Price
    money_per_million: Amount | None = None
    sci: Sci | None = None
    ratio: CostRatio | None = None
    break_even: BreakEven | None = None


class Spent(Record):
    """What was spent once."""

    total: Total
    price: Price


class FileAccount(Record):
    """One file.

    training: of the model that was compressed; compression: all else, the export included. None
        where no ledger tells.
    npu_cycles: of one inference by Vela's estimate; None where it compiled nothing.
    inferences: on each runtime. absent: why figures are not there.
    """

    name: str
    sha256: str
    width: str
    profile: str | None
    size_bytes: int
    work: Work
    npu_cycles: int | None
    stages: dict[str, Spent]
    training: Spent | None
    compression: Spent | None
    inferences: tuple[InferenceCost, ...]
    absent: tuple[Sentence, ...] = ()

    @property
    def main(self) -> tuple[InferenceCost, ...]:
        """On the device, or else on the first runtime: what claims are about."""
        return self.inferences[:1]


class Lifetime(Record):
    """So many inferences of one file, with what was spent once.

    method: of the total: "measured" only if every part of it was.
    """

    file: str
    where: str
    method: Method
    inferences: NotNegative
    inference: Price
    once: Price | None
    total: Price


class FootprintReport(Document):
    """The whole account.

    rates: what the user stated. watts: of the model. host: that the files were timed on.
    spent: of all ledgers together; a stage that several bundles share counts once.
    claims: sentences to quote, each with its method and its bounds.
    """

    title: ClassVar[str] = "record of `tfgreen report`"
    remedy: ClassVar[str] = "Run it again with --json."

    format: Literal["tfgreen-footprint"] = "tfgreen-footprint"
    schema_version: Literal[1] = SCHEMA_VERSION
    rates: Rates
    watts: Watts
    host: Host | None
    baseline: str | None
    files: tuple[FileAccount, ...]
    spent: Spent | None
    lifetimes: tuple[Lifetime, ...]
    claims: tuple[str, ...]
    notes: tuple[str, ...]

    def file(self, name: str) -> FileAccount:
        """The account of a file. Raises InvalidDataError where there is none."""
        for account in self.files:
            if account.name == name:
                return account
        names = ", ".join(account.name for account in self.files)
        raise InvalidDataError(f"The report holds no file '{name}'. It holds: {names}.")

    def text(self) -> str:
        """Tables and claims, for people."""
        from tfgreen.accounting.text import report_text

        return report_text(self)

    def __str__(self) -> str:
        return self.text()


def price_of(
    joules: Amount, rates: Rates, cpu_seconds: float | None = None, *, times: float = 1.0
) -> Price:
    """What so many joules, and so much processor time, stand for."""
    joules = joules * times
    cpu_seconds = None if cpu_seconds is None else cpu_seconds * times
    return Price(
        joules=joules,
        kwh=rates.kwh(joules),
        grams=rates.grams(joules),
        money=rates.money(joules, cpu_seconds),
    )
