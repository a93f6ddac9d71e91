"""`report`: the whole account of one or more files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tfgreen.accounting.claims import claims_of
from tfgreen.accounting.costs import THREADS, Timed, paid_back
from tfgreen.accounting.record import (
    FileAccount,
    FootprintReport,
    InferenceCost,
    Lifetime,
    Price,
    Spent,
    price_of,
)
from tfgreen.accounting.subjects import Device, Subject, read_baseline, read_subjects
from tfgreen.benchmarking.latency import KERNEL_SETS, Effort, benchmark_files
from tfgreen.benchmarking.record import Benchmark
from tfgreen.errors import UnknownNameError, UsageError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.footprint.amounts import Amount
from tfgreen.footprint.entry import Total
from tfgreen.footprint.estimate import DEFAULT_WATTS, Watts, watts_of, work_of
from tfgreen.footprint.ledger import Ledger
from tfgreen.footprint.meter import Meter
from tfgreen.footprint.rates import INFERENCES_OF_SCI, Rates, make_rates
from tfgreen.footprint.reading import Reading, weakest
from tfgreen.footprint.units import parse_count
from tfgreen.manifest import sha256

OnProgress = Callable[[str, int, int], None]


def report(
    files: str | Path | Sequence[str | Path],
    *,
    against: str | Path | None = None,
    region: str | None = None,
    grid: float | None = None,
    inferences: str | float | None = None,
    price_kwh: float | None = None,
    price_cpu_hour: float | None = None,
    pue: float = 1.0,
    embodied: str | float | None = None,
    lifespan: str | float | None = None,
    device: Device | Mapping[str, Device] | None = None,
    watts: str | float | Sequence[float] | Watts = DEFAULT_WATTS,
    kernel_sets: Sequence[str] = KERNEL_SETS,
    effort: Effort | None = None,
    on_progress: OnProgress | None = None,
) -> FootprintReport:
    """What files cost and save: energy, carbon, money, and when a compression pays for itself.

    Every file is timed here, by turns, on every kernel set, with one thread; its processor
    seconds times a range of watts are its energy. For bundles of microcontrollers and NPUs a
    computer's time says nothing: their figures come from `device`, or are absent.

    Args:
        files: bundle folders and `.tflite` files.
        against: what they are compared with: a bundle, a `.tflite` file, or a Keras model, of
            which the float file is made. By default the first of several `files`.
        region: ISO 3166-1 alpha-3 code of the grid, as "DEU", or
        grid: its g CO2e/kWh. Without either, no carbon is told.
        inferences: of a whole life, as "1e9".
        price_kwh, price_cpu_hour: in any currency; processor time is what is paid if both.
        pue: energy of the building over that of the computer, 1.0 by default.
        embodied, lifespan: CO2e of the device ("300kg") and its life ("4y"); none by default.
        device: what is known of the device: of the only file, or by the files' names.
        watts: of a busy thread: a name of the table, one number, or (low, typical, high). Where
            none are given and RAPL is there, those that it tells during the timing.
        kernel_sets: LiteRT's that are timed; an empty tuple to time nothing.
        effort: how long is timed.
        on_progress: called with (step, done, of).

    Raises:
        UsageError: a code, a price, a quantity or a combination that cannot be.
        MissingPathError, InvalidModelError, IntegrityError: what was given is no sound file.
    """
    rates = make_rates(
        region=region,
        grid=grid,
        price_kwh=price_kwh,
        price_cpu_hour=price_cpu_hour,
        pue=pue,
        embodied=embodied,
        lifespan=lifespan,
    )
    count = None if inferences is None else parse_count(inferences)
    for name in kernel_sets:
        if name not in KERNEL_SETS:
            raise UnknownNameError("kernel set of LiteRT", name, KERNEL_SETS)
    model_watts = watts_of(watts)
    paths = [files] if isinstance(files, str | Path) else list(files)
    if not paths:
        raise UsageError("No file was given. Give at least one bundle or .tflite file.")
    subjects = read_subjects(paths, device)
    for subject in subjects:  # what is wrong with a device is told before anything is timed
        if subject.device != Device():
            subject.device.cost(subject.vela_seconds)
    baseline = _baseline(subjects, against)
    everyone = subjects if baseline is None or baseline in subjects else [*subjects, baseline]
    benchmark, found = _timed(everyone, baseline, kernel_sets, model_watts, effort, on_progress)
    timed = Timed(benchmark, kernel_sets, found, rates)
    return _assembled(everyone, baseline, timed, count)


def _baseline(subjects: Sequence[Subject], against: str | Path | None) -> Subject | None:
    if against is None:
        return subjects[0] if len(subjects) > 1 else None
    baseline = read_baseline(against)
    same = [one for one in subjects if one.file.content == baseline.file.content]
    if same:
        return same[0]
    if baseline.name in {subject.name for subject in subjects}:
        raise UsageError(
            f"The baseline and one of the files are both called {baseline.name}. Rename one."
        )
    return baseline


def _timed(
    subjects: Sequence[Subject],
    baseline: Subject | None,
    kernel_sets: Sequence[str],
    watts: Watts,
    effort: Effort | None,
    on_progress: OnProgress | None,
) -> tuple[Benchmark | None, Watts]:
    """Time the files; a counter's watts take the place of the model's that nobody stated."""
    files = [subject.file for subject in subjects if subject.runs_on_hosts]
    if not files or not kernel_sets:
        return None, watts
    first = files.index(baseline.file) if baseline is not None and baseline.file in files else 0
    with Meter(watts=watts) as meter:
        benchmark = benchmark_files(
            files,
            baseline=first,
            kernel_sets=kernel_sets,
            threads=(THREADS,),
            effort=effort,
            on_progress=on_progress,
        )
    if watts.name != DEFAULT_WATTS:
        return benchmark, watts
    return benchmark, _told_by(meter.reading) or watts


def _told_by(reading: Reading) -> Watts | None:
    """Watts of a busy thread by the processor's counter; None where it was not measured."""
    parts = [one for one in reading.parts if one.hardware == "processor"]
    if weakest(one.method for one in parts) != "measured" or reading.cpu_seconds <= 0:
        return None
    source = " + ".join(dict.fromkeys(one.source for one in parts))
    return Watts(
        name=f"{source} during the timing",
        **(Amount.sum(one.joules for one in parts) * (1 / reading.cpu_seconds)).model_dump(),
        what="this machine",
        source=f"{source} over the whole timing, all files alike",
    )


def _assembled(
    subjects: Sequence[Subject], baseline: Subject | None, timed: Timed, count: float | None
) -> FootprintReport:
    accounts = tuple(_account(subject, baseline, timed) for subject in subjects)
    spent = Ledger()
    for subject in subjects:
        if subject.ledger is not None:
            spent.add(subject.ledger)
    lifetimes = (
        ()
        if count is None
        else tuple(
            _lifetime(account, cost, count, timed.rates)
            for account in accounts
            for cost in account.main
        )
    )
    total = spent.total()
    report = FootprintReport(
        rates=timed.rates,
        watts=timed.watts,
        host=timed.benchmark.host if timed.benchmark else None,
        baseline=None if baseline is None else baseline.name,
        files=accounts,
        spent=_spent(total, timed.rates) if total.entries else None,
        lifetimes=lifetimes,
        claims=(),
        notes=tuple(_notes(timed, total)),
    )
    return report.model_copy(update={"claims": tuple(claims_of(report))})


def _account(subject: Subject, baseline: Subject | None, timed: Timed) -> FileAccount:
    ledger = subject.ledger
    totals = {} if ledger is None else ledger.stages()
    compression = None if ledger is None else ledger.total(purpose="compression")
    training = None if ledger is None else ledger.total(purpose="training")
    return FileAccount(
        name=subject.name,
        sha256=sha256(subject.file.content),
        width=subject.file.width,
        profile=None if subject.profile is None else subject.profile.name,
        size_bytes=len(subject.file.content),
        work=work_of(TfliteModel.from_bytes(subject.file.content)),
        npu_cycles=subject.vela_cycles,
        stages={name: _spent(total, timed.rates) for name, total in totals.items()},
        training=_spent(training, timed.rates) if training and training.entries else None,
        compression=(
            _spent(compression, timed.rates) if compression and compression.entries else None
        ),
        inferences=tuple(
            _compared(cost, subject, baseline, compression, timed) for cost in timed.costs(subject)
        ),
        absent=timed.absent(subject),
    )


def _compared(
    cost: InferenceCost,
    subject: Subject,
    baseline: Subject | None,
    compression: Total | None,
    timed: Timed,
) -> InferenceCost:
    if baseline is None or baseline is subject:
        return cost
    cost = cost.model_copy(update={"ratio": timed.ratio(cost, subject, baseline)})
    if compression is None or not compression.entries:
        return cost
    return cost.model_copy(update={"break_even": paid_back(cost, compression)})


def _spent(total: Total, rates: Rates) -> Spent:
    return Spent(total=total, price=price_of(total.joules, rates, total.cpu_seconds))


def _lifetime(account: FileAccount, cost: InferenceCost, count: float, rates: Rates) -> Lifetime:
    one = cost.per_thousand.joules * (1 / INFERENCES_OF_SCI)
    inference = price_of(one, rates, cost.cpu_seconds, times=count)
    spent = [part for part in (account.training, account.compression) if part is not None]
    once = _sum([part.price for part in spent]) if spent else None
    return Lifetime(
        file=account.name,
        where=cost.where,
        method=weakest([cost.method, *(part.total.method for part in spent)]),
        inferences=count,
        inference=inference,
        once=once,
        total=_sum([inference, *([once] if once else [])]),
    )


def _sum(prices: Sequence[Price]) -> Price:
    def added(amounts: Sequence[Amount | None]) -> Amount | None:
        known = [amount for amount in amounts if amount is not None]
        return Amount.sum(known) if len(known) == len(amounts) else None

    return Price(
        joules=Amount.sum(price.joules for price in prices),
        kwh=Amount.sum(price.kwh for price in prices),
        grams=added([price.grams for price in prices]),
        money=added([price.money for price in prices]),
    )


def _notes(timed: Timed, spent: Total) -> list[str]:
    notes = []
    if timed.benchmark is not None:
        notes.append(
            f"Watts of the model: {timed.watts}: {timed.watts.what} ({timed.watts.source})."
        )
        notes += [note for note in timed.benchmark.notes if "op by op" not in note]
    if spent.interrupted:
        notes.append(
            f"Of {spent.entries} stretches in the ledgers {spent.interrupted} never ended: killed, "
            "or still running. What they spent after their file was last brought up to date (ten "
            "seconds; with a callback, also an epoch) is not in."
        )
    if spent.entries:
        notes.append(
            "Break-even in processor seconds takes one on the machine that trained and one on the "
            "machine that infers as the same; with joules, their bounds are in the result."
        )
    if timed.rates.grid is not None:
        grid = timed.rates.grid
        notes.append(f"Grid: {grid}; source: {grid.source}. It is not that of one kWh more.")
    else:
        notes.append("No carbon is told: no grid was named (--region DEU, or --grid in g/kWh).")
    return notes
