"""Does pruning cost accuracy? The trials of benchmarks/pruning_routes.py, as a record."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.faq.records import interval_of
from benchmarks.keyword_trials import SEEDS, Trial, difference_interval
from benchmarks.pruning_routes import EPOCHS, ROUTES, SPARSITIES, UNPRUNED, correct, trials_of


def measure(test: str | None) -> dict[str, Any]:
    """The record: one row for each sparsity and route; trials that are missing are run."""
    plain = trials_of(UNPRUNED, 0.0, SEEDS, test)
    rows = [
        _row(name, sparsity, trials_of(name, sparsity, SEEDS, test), plain)
        for sparsity in SPARSITIES
        for name in ROUTES
    ]
    return {
        "seeds": len(SEEDS),
        "epochs": EPOCHS,
        "judged_samples": len(correct(plain)[0]),
        "unpruned": _percent(plain),
        "unpruned_gzip_bytes": round(float(np.mean([trial.gzip_bytes for trial in plain]))),
        "rows": rows,
    }


def _row(name: str, sparsity: float, trials: list[Trial], plain: list[Trial]) -> dict[str, Any]:
    return {
        "route": name,
        "sparsity": sparsity,
        "accuracy": _percent(trials),
        "difference": interval_of(*difference_interval(correct(trials), correct(plain))),
        "gzip_bytes": round(float(np.mean([trial.gzip_bytes for trial in trials]))),
        "files_failed": sum(trial.facts["verdict"] == "failed" for trial in trials),
    }


def _percent(trials: list[Trial]) -> float:
    return round(100 * float(np.mean(correct(trials))), 2)
