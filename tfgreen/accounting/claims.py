"""Sentences to quote: one for each claim, with its method and its bounds."""

from __future__ import annotations

from collections.abc import Iterator

from tfgreen.accounting.record import (
    DEVICE,
    FileAccount,
    FootprintReport,
    InferenceCost,
    Lifetime,
    Price,
    Spent,
)
from tfgreen.footprint.break_even import BreakEven
from tfgreen.footprint.rates import Rates
from tfgreen.footprint.wording import (
    amount_text,
    count_text,
    kwh_text,
    plain_amount_text,
    quantity_text,
    seconds_text,
)


def claims_of(report: FootprintReport) -> Iterator[str]:
    """Ratios first, since they are known best."""
    costs = [(account, cost) for account in report.files for cost in account.main]
    for account, cost in costs:
        if cost.ratio is not None:
            yield _ratio(account, cost)
    for account, cost in costs:
        yield _inference(account, cost, report.rates)
    for account in report.files:
        if account.compression is not None:
            yield _compression(account, report.rates)
    for account, cost in costs:
        if cost.break_even is not None and cost.ratio is not None:
            yield (
                f"The compression of {account.name} has paid for itself against "
                f"{cost.ratio.baseline} on {_where(cost)} {cost.break_even.sentence()}, by "
                f"{_by(cost.break_even)}."
            )
    for account, cost in costs:
        if cost.sci is not None:
            yield _sci(account, cost, report.rates)
    for lifetime in report.lifetimes:
        yield _lifetime(lifetime, report)


def _stands_for(price: Price, rates: Rates, priced: str) -> str:
    """Carbon and money of a price in words, each with its factor; empty where none is known."""
    words = []
    if price.grams is not None and rates.grid is not None:
        words.append(f"{amount_text(price.grams, 'g')} CO2e at {rates.grid}")
    if price.money is not None:
        words.append(f"{plain_amount_text(price.money)} at the stated price of {priced}")
    return "; ".join(words)


def _unit_of_price(rates: Rates, *, has_cpu_seconds: bool = True) -> str:
    by_time = rates.price_per_cpu_hour is not None and has_cpu_seconds
    return "a processor hour" if by_time else "a kWh"


def _by(paid: BreakEven) -> str:
    if paid.basis == "joules":
        return f"joules, {paid.method}"
    return "processor seconds, so by energy too, modelled: at equal watts"


def _where(cost: InferenceCost) -> str:
    return "its device" if cost.where == DEVICE else f"{cost.where} (this machine, one thread)"


def _ratio(account: FileAccount, cost: InferenceCost) -> str:
    ratio = cost.ratio
    if ratio is None:
        return ""
    bounds = f"{ratio.typical:.2f} times ({ratio.low:.2f} to {ratio.high:.2f})"
    if ratio.basis == "joules":
        return (
            f"An inference of {account.name} on {_where(cost)} takes {bounds} the energy of "
            f"{ratio.baseline}, {ratio.method}."
        )
    return (
        f"An inference of {account.name} on {_where(cost)} takes {bounds} the processor time of "
        f"{ratio.baseline}, measured (95 % interval of the rounds), and so of its energy, "
        "modelled: at equal watts the watts cancel."
    )


def _inference(account: FileAccount, cost: InferenceCost, rates: Rates) -> str:
    money = ""
    if cost.money_per_million is not None:
        priced = _unit_of_price(rates, has_cpu_seconds=cost.cpu_seconds is not None)
        amount = plain_amount_text(cost.money_per_million)
        money = f" A million cost {amount} at the stated price of {priced}."
    return (
        f"1,000 inferences of {account.name} on {_where(cost)} take "
        f"{amount_text(cost.per_thousand.joules, 'J')}, {cost.how}.{money}"
    )


def _compression(account: FileAccount, rates: Rates) -> str:
    spent = account.compression
    if spent is None:
        return ""
    total = spent.total
    return (
        f"Compressing and exporting {account.name} took {amount_text(total.joules, 'J')}, "
        f"{total.method} ({', '.join(total.sources)}), in {seconds_text(total.cpu_seconds)} of "
        f"processor time{_in_brackets(spent, rates)}.{_also(account, rates)}"
    )


def _also(account: FileAccount, rates: Rates) -> str:
    if account.training is None:
        return ""
    total, more = account.training.total, _in_brackets(account.training, rates)
    return f" Training it had taken {amount_text(total.joules, 'J')}, {total.method}{more}."


def _in_brackets(spent: Spent, rates: Rates) -> str:
    words = _stands_for(spent.price, rates, _unit_of_price(rates))
    return f" ({words})" if words else ""


def _sci(account: FileAccount, cost: InferenceCost, rates: Rates) -> str:
    sci = cost.sci
    if sci is None:
        return ""
    return (
        f"SCI of {account.name} on {_where(cost)}: {amount_text(sci.grams, 'g')} CO2e per "
        f"{sci.functional_unit}, {cost.method}: ((E x I) + M) per R with "
        f"E {kwh_text(sci.energy_kwh)} at a PUE of {rates.pue:g}, I {rates.grid}, "
        f"M {quantity_text(sci.embodied_grams, 'g')}."
    )


def _lifetime(lifetime: Lifetime, report: FootprintReport) -> str:
    on_device = lifetime.where == DEVICE
    where = "its device" if on_device else lifetime.where
    priced = _unit_of_price(report.rates, has_cpu_seconds=not on_device)
    if on_device and lifetime.once is not None and report.rates.price_per_cpu_hour is not None:
        priced = "a kWh for inference, a processor hour for what was spent once"
    what = _stands_for(lifetime.total, report.rates, priced)
    once = "" if lifetime.once is None else ", with what was spent once"
    return (
        f"{count_text(lifetime.inferences)} inferences of {lifetime.file} on {where}{once}: "
        f"{kwh_text(lifetime.total.kwh)} at a PUE of {report.rates.pue:g}, {lifetime.method}"
        f"{'; ' if what else ''}{what}."
    )
