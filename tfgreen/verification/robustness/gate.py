"""What the fidelity gate says of a profile's limit for worse data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfgreen.data import Samples
from tfgreen.errors import TfgreenError, UsageError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.intervals import Estimate
from tfgreen.profile import RobustnessLimit
from tfgreen.verification.certificate import Check, CheckStatus
from tfgreen.verification.robustness.conditions import Plan
from tfgreen.verification.robustness.measuring import (
    ROBUSTNESS_SAMPLES,
    measure_robustness,
)
from tfgreen.verification.robustness.record import FLOAT, Robustness
from tfgreen.verification.robustness.running import Subject
from tfgreen.verification.workload import Workload
from tfgreen.wording import share_text

_FILE = "file"
_ROUNDING = 1e-12


def judge_robustness(
    limit: RobustnessLimit,
    model: TfliteModel,
    float_model: TfliteModel | None,
    truth: str,
    workload: Workload,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Check:
    """Hold the drop under corruption against the limit; a warning where nothing can be measured.

    float_model: None where there is none to compare with: the check is skipped then.
    """
    if float_model is None:
        return _unheard("skipped", "there is no float model to compare with")
    labelled = _labelled(workload)
    if labelled is None:
        return _unheard("warning", "no labels were given. Give them with evaluate= (--evaluate)")
    plan = Plan(kind=limit.kind, attacks=(), severities=(limit.severity,))
    file = Subject(_FILE, model.content, truth)
    try:
        found = measure_robustness(
            float_model.content, [file], labelled, plan, on_progress=on_progress
        )
    except UsageError as error:
        return _unheard("warning", f"{error} In the profile it is `robustness.kind`")
    except TfgreenError as error:
        return _unheard("failed", str(error).rstrip("."))
    row = found.row(_FILE)
    if row.status == "failed":
        return _unheard("failed", row.message.rstrip("."))
    difference = row.at(limit.severity).difference
    if found.score_kind != "accuracy" or difference is None:
        return _unheard("warning", "the labelled output holds no classes")
    return _held(limit, found, truth, difference)


def _labelled(workload: Workload) -> Samples | None:
    samples = workload.samples
    if samples is None or workload.is_made_up or not samples.labels:
        return None
    rows = np.arange(workload.labelled_from, len(samples))
    return samples.take(rows).spread(ROBUSTNESS_SAMPLES) if len(rows) else None


def _held(limit: RobustnessLimit, found: Robustness, truth: str, difference: Estimate) -> Check:
    ours, theirs = (found.row(name).at(limit.severity).score.value for name in (_FILE, FLOAT))
    drop = -difference.value
    text = (
        f"Under corruption of severity {limit.severity} (mean of {len(found.conditions)} kinds, "
        f"{found.row(_FILE).samples:,} samples) the accuracy of '{found.output}' is "
        f"{share_text(ours)} on {truth}, {100 * drop:.1f} points [{-100 * difference.high:.1f}, "
        f"{-100 * difference.low:.1f}] below the float model's {share_text(theirs)}; it may be "
        f"{100 * limit.drop:.1f} below."
    )
    status: CheckStatus = "passed" if drop <= limit.drop + _ROUNDING else "failed"
    facts = {"measured": drop, "limit": limit.drop, "unit": "drop", "kernel_set": truth}
    return _check(status, text, **facts)


def _unheard(status: CheckStatus, reason: str) -> Check:
    return _check(status, f"The profile's limit for worse data was not checked: {reason}.")


def _check(status: CheckStatus, message: str, **facts: Any) -> Check:
    return Check(gate="fidelity", name="robustness", status=status, message=message, **facts)
