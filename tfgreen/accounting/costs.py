"""What one inference of each file takes: timed on this machine, or told of the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfgreen.accounting.record import DEVICE, CostRatio, InferenceCost, price_of
from tfgreen.accounting.subjects import Device, Subject
from tfgreen.benchmarking.record import Benchmark, Row
from tfgreen.footprint import estimate
from tfgreen.footprint.amounts import Amount
from tfgreen.footprint.break_even import BreakEven, break_even
from tfgreen.footprint.device import DeviceCost
from tfgreen.footprint.entry import Total
from tfgreen.footprint.estimate import Watts
from tfgreen.footprint.rates import INFERENCES_OF_SCI, Rates
from tfgreen.footprint.reading import weakest
from tfgreen.footprint.wording import seconds_text

THREADS = 1
_MILLION = 1e6


@dataclass(frozen=True)
class Timed:
    """All that is the same for every file: what was timed, and what joules stand for."""

    benchmark: Benchmark | None
    kernel_sets: Sequence[str]
    watts: Watts
    rates: Rates

    def costs(self, subject: Subject) -> tuple[InferenceCost, ...]:
        """On every kernel set that ran, or on the device."""
        found = [self._on_device(subject)] if subject.device != Device() else []
        if self.benchmark is not None and subject.runs_on_hosts:
            found += [self._on_host(row) for row in self._rows(subject) if row.status == "ok"]
        return tuple(found)

    def absent(self, subject: Subject) -> tuple[str, ...]:
        """Why figures are missing."""
        reasons = []
        if not subject.runs_on_hosts and subject.device == Device():
            reasons.append(
                "No energy of an inference: it runs on a device of which nothing was told. Give "
                "--device-power with --device-latency, or --device-log."
            )
        if self.benchmark is not None and subject.runs_on_hosts:
            reasons += [
                f"It did not run on {row.kernel_set} ({row.status}): {row.message}"[:600]
                for row in self._rows(subject)
                if row.status != "ok"
            ]
        if subject.ledger is None:
            reasons.append("Nothing is known of what making it took: only bundles keep a ledger.")
        return tuple(reasons)

    def ratio(self, cost: InferenceCost, subject: Subject, baseline: Subject) -> CostRatio | None:
        """The file's cost over the baseline's, on the same runtime."""
        if cost.where == DEVICE:
            return self._device_ratio(cost, baseline)
        for one in self.benchmark.comparisons if self.benchmark else ():
            if (one.file, one.baseline, one.kernel_set) == (
                subject.name,
                baseline.name,
                cost.where,
            ) and one.cpu_ratio is not None:
                found = one.cpu_ratio
                return CostRatio(
                    baseline=baseline.name,
                    basis="processor seconds",
                    method="modelled",
                    low=found.low,
                    typical=found.median,
                    high=found.high,
                )
        return None

    def _rows(self, subject: Subject) -> list[Row]:
        rows = self.benchmark.rows if self.benchmark else ()
        return [row for row in rows if row.file == subject.name and row.threads == THREADS]

    def _on_host(self, row: Row) -> InferenceCost:
        cpu_seconds = row.cpu_seconds or 0.0
        joules = self.watts.joules(cpu_seconds)
        noise = "" if row.noise is None else f" ({row.noise.verdict})"
        seconds = None if row.latency is None else row.latency.median_seconds
        return InferenceCost(
            where=row.kernel_set,
            method="modelled",
            how=(
                f"modelled: {seconds_text(cpu_seconds)} of processor time, median of blocks with "
                f"one thread{noise}, at {self.watts} ({self.watts.name})"
            ),
            leaves_out=estimate.LEAVES_OUT,
            cpu_seconds=cpu_seconds,
            latency_seconds=seconds,
            spread=row.latency,
            per_thousand=price_of(joules, self.rates, cpu_seconds, times=INFERENCES_OF_SCI),
            money_per_million=self.rates.money(joules * _MILLION, cpu_seconds * _MILLION),
            sci=self.rates.sci(joules, seconds),
        )

    def _on_device(self, subject: Subject) -> InferenceCost:
        cost = subject.device.cost(subject.vela_seconds)
        return InferenceCost(
            where=DEVICE,
            method=cost.method,
            how=cost.how,
            leaves_out=cost.leaves_out,
            cpu_seconds=None,
            latency_seconds=cost.seconds,
            per_thousand=price_of(cost.joules, self.rates, times=INFERENCES_OF_SCI),
            money_per_million=self.rates.money(cost.joules * _MILLION, None),
            sci=self.rates.sci(cost.joules, cost.seconds),
        )

    def _device_ratio(self, cost: InferenceCost, baseline: Subject) -> CostRatio | None:
        if baseline.device == Device():
            return None
        other: DeviceCost = baseline.device.cost(baseline.vela_seconds)
        mine = cost.per_thousand.joules * (1 / INFERENCES_OF_SCI)
        return CostRatio(
            baseline=baseline.name,
            basis="joules",
            method=weakest([cost.method, other.method]),
            low=mine.low / other.joules.high,
            typical=mine.typical / other.joules.typical,
            high=mine.high / other.joules.low,
        )


def paid_back(cost: InferenceCost, compression: Total) -> BreakEven | None:
    """When the compression has paid for itself, by the ratio to the baseline.

    In processor seconds where both are known by them alone, so that the watts cancel; else in
    joules, with the bounds of both.
    """
    ratio = cost.ratio
    if ratio is None or ratio.typical <= 0:
        return None
    factors = (1 / ratio.high - 1, 1 / ratio.typical - 1, _above(ratio.low))
    if cost.cpu_seconds is not None and compression.sources == ("model",):
        saving = [cost.cpu_seconds * factor for factor in factors]
        spent = Amount.exactly(compression.cpu_seconds)
        return break_even(spent, (saving[0], saving[1], saving[2]), "processor seconds")
    method = weakest([cost.method, ratio.method, compression.method])
    joules = cost.per_thousand.joules * (1 / INFERENCES_OF_SCI)
    bounds = (joules.low, joules.typical, joules.high)
    if factors[0] < 0:  # a loss is the larger, the more an inference takes
        bounds = (joules.high, joules.typical, joules.high)
    saving = [value * factor for value, factor in zip(bounds, factors, strict=True)]
    return break_even(compression.joules, (saving[0], saving[1], saving[2]), "joules", method)


def _above(ratio: float) -> float:
    return 1 / ratio - 1 if ratio > 0 else float("inf")
