"""Whose energy it is: our share of what a counter tells of the whole machine."""

from __future__ import annotations

from dataclasses import dataclass

from tfgreen.footprint.amounts import Amount
from tfgreen.footprint.counters import Counter
from tfgreen.footprint.cpu_time import MachineTime
from tfgreen.footprint.estimate import Watts
from tfgreen.footprint.reading import Part
from tfgreen.wording import share_text


@dataclass(frozen=True)
class Share:
    """Which part of the machine's processors was ours; `typical` is None where nobody tells."""

    low: float
    typical: float | None


def share_of(cpu_before: float, cpu_after: float, before: MachineTime, after: MachineTime) -> Share:
    """Our processor seconds over those that could have been worked, and that were.

    >>> idle, later = MachineTime(100.0, 0.0), MachineTime(104.0, 8.0)
    >>> share_of(1.0, 3.0, idle, later)
    Share(low=0.25, typical=0.5)
    """
    own = max(0.0, cpu_after - cpu_before)
    capacity = after.capacity_seconds - before.capacity_seconds
    low = min(1.0, own / capacity) if capacity > 0 else 0.0
    if before.busy_seconds is None or after.busy_seconds is None:
        return Share(low, None)
    busy = max(own, after.busy_seconds - before.busy_seconds)
    return Share(low, max(low, own / busy) if busy > 0 else low)


def measured_part(counter: Counter, joules: float, share: Share, *, of_machine: bool) -> Part:
    """Joules of a counter: all of them for a GPU or the whole machine, else our share."""
    if counter.hardware == "gpu" or of_machine:
        return _part(
            counter,
            Amount.exactly(joules),
            f"{counter.how}: all of their energy, whoever used them",
        )
    if share.typical is None:
        typical, how = share.low, "of what all processors could have worked"
    else:
        typical, how = share.typical, "of all processor time that was worked"
    amount = Amount(low=joules * share.low, typical=joules * typical, high=joules)
    return _part(
        counter,
        amount,
        f"{counter.how}: {joules:.4g} J in all, of which {share_text(typical)} is attributed to "
        "this "
        f"process and its children, their share {how}; at least {share_text(share.low)}, at most "
        "all",
    )


def _part(counter: Counter, joules: Amount, how: str) -> Part:
    return Part(
        hardware=counter.hardware, source=counter.name, method="measured", joules=joules, how=how
    )


def modelled_part(cpu_seconds: float, watts: Watts) -> Part:
    """Processor seconds times watts."""
    return Part(
        hardware="processor",
        source="model",
        method="modelled",
        joules=watts.joules(cpu_seconds),
        how=f"modelled: {cpu_seconds:.4g} processor seconds at {watts} ({watts.name})",
    )
