"""After how many inferences compressing the keyword DS-CNN has paid for itself.

    python -m benchmarks.break_even_table [--seeds N] [--sessions N] [VARIANT ...]

PTQ, QAT and PQAT of benchmarks/compression_table.py, begun at the same trained float model of each
seed, in a process of its own with one thread. A ledger meters the fits and the export with all
its gates, children included. Then `report` times each seed's files and its float file by turns,
with one thread on XNNPACK. Cost and saving are both processor seconds, so that the watts cancel,
and a busy machine stretches both. Bundles with their ledgers are kept in benchmarks/.cache;
delete them there to meter anew.
"""

from __future__ import annotations

import os
import statistics
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from benchmarks import keyword_trials
from benchmarks.compression_table import VARIANTS
from tfgreen.accounting.record import FootprintReport
from tfgreen.accounting.report import report
from tfgreen.benchmarking.latency import Effort
from tfgreen.demonstration.keywords import load_keywords
from tfgreen.footprint.ledger import Ledger
from tfgreen.footprint.wording import count_text, seconds_text

NAMES = ("ptq", "qat", "pqat-80")
FOLDER = keyword_trials.CACHE.parent / "break-even"
KERNEL_SET = "xnnpack"
HEADER = ("compression", "seed", "fits", "export", "inference / float's", "pays after", "range")


def main() -> None:
    """Meter what is missing and print the table, or meter one trial."""
    parser = ArgumentParser(description="Break-even of compressed keyword nets.")
    parser.add_argument("variants", nargs="*", default=NAMES, metavar="VARIANT")
    parser.add_argument("--seeds", type=int, default=len(keyword_trials.SEEDS))
    parser.add_argument("--sessions", type=int, default=5)
    parser.add_argument("--trial", type=int, metavar="SEED", help="meter one in this process")
    given = parser.parse_args()
    os.environ.update(keyword_trials.ONE_THREAD)
    if given.trial is not None:
        for name in given.variants:
            meter_trial(name, given.trial)
        return
    effort = Effort(sessions=given.sessions)
    reports = [report_of(given.variants, seed, effort) for seed in range(given.seeds)]
    lines = [
        row(name, seed, found) for name in given.variants for seed, found in enumerate(reports)
    ]
    keyword_trials.print_table(HEADER, lines)
    for name in given.variants:
        print(f"\n{VARIANTS[name].title}: {summary(name, reports)}")


def meter_trial(name: str, seed: int) -> None:
    """Compress and export under a ledger of its own, and keep the bundle."""
    ledger, model = Ledger(), keyword_trials.load_float_model(seed)
    for number, step in enumerate(VARIANTS[name].steps, 1):
        with ledger.stage(f"fit {number}"):
            model = step(model, seed)
    bundle = keyword_trials.exported(
        model, load_keywords(), "mobile-int8", encoding="dense", ledger=ledger
    )
    bundle.save(FOLDER / f"{name}-{seed}", force=True)
    print(f"{name}-{seed}: {bundle.certificate.verdict}\n{bundle_ledger(name, seed)}", flush=True)


def report_of(names: Sequence[str], seed: int, effort: Effort) -> FootprintReport:
    """The account of one seed's bundles against its float file."""
    for name in names:
        if not (FOLDER / f"{name}-{seed}").exists():
            keyword_trials.run_child("benchmarks.break_even_table", name, "--trial", str(seed))
    return report(
        [FOLDER / f"{name}-{seed}" for name in names],
        against=float_file(seed),
        kernel_sets=[KERNEL_SET],
        effort=effort,
    )


def float_file(seed: int) -> Path:
    """The float file of a seed, made by benchmarks.compression_table."""
    path = keyword_trials.CACHE / f"float-{seed}.tflite"
    if not path.exists():
        keyword_trials.run_child("benchmarks.compression_table", "float", "--trial", str(seed))
    return path


def bundle_ledger(name: str, seed: int) -> Ledger:
    """What the bundle of a trial says that it took."""
    return Ledger.read(FOLDER / f"{name}-{seed}" / "ledger.json")


def row(name: str, seed: int, found: FootprintReport) -> tuple[str, ...]:
    """One line of the table."""
    account = found.file(f"{name}-{seed}")
    (cost,) = account.inferences
    fits = sum(spent.total.cpu_seconds for stage, spent in account.stages.items() if "fit" in stage)
    every = sum(spent.total.cpu_seconds for spent in account.stages.values())
    if cost.ratio is None or cost.break_even is None:
        raise SystemExit(f"{name}-{seed}: nothing to compare with")
    bounds = (cost.break_even.low, cost.break_even.typical, cost.break_even.high)
    low, typical, high = ("never" if one is None else count_text(one) for one in bounds)
    return (
        VARIANTS[name].title,
        str(seed),
        seconds_text(fits) if fits else "-",
        seconds_text(every - fits),
        f"{cost.ratio.typical:.3f} [{cost.ratio.low:.3f}, {cost.ratio.high:.3f}]",
        typical,
        f"{low} to {high}",
    )


def summary(name: str, reports: Sequence[FootprintReport]) -> str:
    """Median and range over the seeds."""
    found = [one.file(f"{name}-{seed}").inferences[0] for seed, one in enumerate(reports)]
    known = [cost.break_even for cost in found if cost.break_even is not None]
    typical = [one.typical for one in known if one.typical is not None]
    if len(typical) < len(reports):
        return f"pays for itself with {len(typical)} of {len(reports)} seeds"
    return (
        f"after {count_text(statistics.median(typical))} inferences "
        f"({count_text(min(typical))} to {count_text(max(typical))} over the seeds)"
    )


if __name__ == "__main__":
    main()
