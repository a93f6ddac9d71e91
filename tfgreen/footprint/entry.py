"""`Entry`: one stretch of one stage, as the ledger keeps it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from tfgreen.footprint.amounts import Amount, NotNegative, Record
from tfgreen.footprint.reading import Method, Reading, total_seconds, weakest

Purpose = Literal["training", "compression"]
Identity = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
StageName = Annotated[
    str, StringConstraints(min_length=1, max_length=60, pattern=r"^[\w .()/+-]+$")
]
Moment = Annotated[str, StringConstraints(pattern=r"^[0-9T:.+-]{10,40}$")]

TRAIN = "train"


class Entry(Record):
    """What one stretch of a stage took.

    id: no two stretches ever share one: an entry that turns up twice is the same stretch.
    stage: "train", "prune", "qat", "teacher", "calibration", "search" … or a name of your own.
    purpose: "training" made the model that is compressed; all else is "compression".
    started: UTC, ISO 8601.
    finished: False while it runs, and for ever if its process was killed: it holds what had been
        spent at the last look, at most `CHECKPOINT_SECONDS` before the end.
    within: the stretch around this one, whose figures hold this one's too.
    """

    id: Identity
    stage: StageName
    purpose: Purpose
    started: Moment
    finished: bool
    reading: Reading
    within: Identity | None = None


class Total(Record):
    """The sum of entries."""

    joules: Amount
    method: Method
    sources: tuple[str, ...]
    cpu_seconds: NotNegative
    wall_seconds: NotNegative
    entries: int

    @classmethod
    def of(cls, entries: list[Entry]) -> Total:
        """Add entries up; the caller sees to it that none holds another."""
        readings = [entry.reading for entry in entries]
        return cls(
            joules=Amount.sum(reading.joules for reading in readings),
            method=weakest(reading.method for reading in readings),
            sources=tuple(dict.fromkeys(reading.source for reading in readings)),
            cpu_seconds=total_seconds(reading.cpu_seconds for reading in readings),
            wall_seconds=total_seconds(reading.wall_seconds for reading in readings),
            entries=len(entries),
        )


def longer(one: Entry, other: Entry) -> Entry:
    """Of two states of one stretch, the later one."""
    return max(one, other, key=lambda entry: (entry.reading.wall_seconds, entry.finished))


def purpose_of(stage: str) -> Purpose:
    """What a stage was for if nobody says.

    >>> purpose_of("train"), purpose_of("qat")
    ('training', 'compression')
    """
    return "training" if stage == TRAIN else "compression"
