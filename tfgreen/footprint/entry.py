"""`Entry`: one stretch of one stage, as the ledger keeps it."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import StringConstraints, ValidationError

from tfgreen.errors import InvalidDataError
from tfgreen.footprint.amounts import Amount, NotNegative
from tfgreen.footprint.reading import Method, Reading, total_seconds, weakest
from tfgreen.records import Record

Purpose = Literal["training", "compression"]
Identity = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
StageName = Annotated[
    str, StringConstraints(min_length=1, max_length=60, pattern=r"^[\w .()/+-]+$")
]
Moment = Annotated[str, StringConstraints(pattern=r"^[0-9T:.+-]{10,40}$")]

SCHEMA_VERSION: Literal[1] = 1
TRAIN = "train"
_REMEDY = "Give one that tfgreen wrote, or move this one away and begin anew."


class Entry(Record):
    """What one stretch of a stage took.

    id: no two stretches ever share one: an entry that turns up twice is the same stretch.
    stage: "train", "prune", "qat", "teacher", "calibration", "search" … or a name of your own.
    purpose: "training" made the model that is compressed; all else is "compression".
    started: UTC, ISO 8601.
    finished: False while it runs, and for ever if its process was killed: it holds what had been
        spent at the last look, at most some seconds (with a callback, an epoch) before.
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
    """The sum of entries.

    interrupted: how many of them never ended; what they spent after the last look is not in.
    """

    joules: Amount
    method: Method
    sources: tuple[str, ...]
    cpu_seconds: NotNegative
    wall_seconds: NotNegative
    entries: int
    interrupted: int = 0

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
            interrupted=sum(not entry.finished for entry in entries),
        )


class LedgerDocument(Record):
    """A ledger on disk and inside bundles."""

    format: Literal["tfgreen-ledger"] = "tfgreen-ledger"
    schema_version: Literal[1] = SCHEMA_VERSION
    entries: tuple[Entry, ...] = ()

    def to_json(self) -> str:
        """One JSON document, ending in a newline; `from_json` reads it back."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, where: str = "This text") -> LedgerDocument:
        """Read what `to_json` wrote. Raises InvalidDataError for anything else."""
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidDataError(f"{where} is no ledger: it is no JSON. {_REMEDY}") from error
        version = fields.get("schema_version") if isinstance(fields, dict) else None
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise InvalidDataError(
                f"{where} was written by a newer tfgreen (ledger schema {version}, this one reads "
                f"up to {SCHEMA_VERSION}). Upgrade with `pip install -U tfgreen`."
            )
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            at = ".".join(map(str, first["loc"])) or "document"
            message = f"{where} is no ledger: at '{at}', {first['msg']}. {_REMEDY}"
            raise InvalidDataError(message) from error


def longer(one: Entry, other: Entry) -> Entry:
    """Of two states of one stretch, the later one."""
    return max(one, other, key=lambda entry: (entry.reading.wall_seconds, entry.finished))


def purpose_of(stage: str) -> Purpose:
    """What a stage was for if nobody says.

    >>> purpose_of("train"), purpose_of("qat")
    ('training', 'compression')
    """
    return "training" if stage == TRAIN else "compression"
