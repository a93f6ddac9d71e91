"""`Ledger`: what the stages of a model's life took, over restarts, nothing twice.

    ledger = Ledger("build/kws.ledger.json")
    with ledger.stage("train"):
        model.fit(x, y, epochs=20)
    print(ledger)

The file holds a stretch of a stage from its start on, and is brought up to date while it runs.
A process that is killed leaves the energy it had spent; the one that takes over adds its own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tfgreen.errors import InvalidDataError, MissingPathError
from tfgreen.footprint.entry import Entry, LedgerDocument, Purpose, Total, longer, purpose_of
from tfgreen.footprint.meter import Meter
from tfgreen.footprint.stretch import Stretch, announced
from tfgreen.footprint.wording import amount_text, seconds_text
from tfgreen.writing import explained, write_files

try:
    import fcntl
except ImportError:  # Windows: two processes should not write one ledger there
    fcntl = None  # type: ignore[assignment]

_LARGEST_BYTES = 64 * 1024**2


class Ledger:
    """The stages of a model's life; in memory only without a path.

    Args:
        path: a JSON file, read if it is there and kept up to date from then on.

    Raises:
        InvalidDataError: the file is no ledger.
        OutputError: nothing can be written there.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path)
        self._entries: dict[str, Entry] = {}
        if self.path is not None and self.path.exists():
            self._take(Ledger.read(self.path).entries)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All stretches, in the order in which they began."""
        now = list(self._entries.values())  # another thread may look at its stretch meanwhile
        return tuple(sorted(now, key=lambda entry: (entry.started, entry.id)))

    @contextlib.contextmanager
    def stage(
        self, name: str, *, purpose: Purpose | None = None, meter: Meter | None = None
    ) -> Iterator[Meter]:
        """Measure what runs inside, and enter it.

        Args:
            name: of the stage; a name that is there already gets another stretch.
            purpose: "training" for the model that is compressed afterwards; by default that is
                the stage "train", and all others are "compression".
            meter: one that does not run; a new one by default.

        A stage inside another one, also of another ledger, is shown and not added to the total
        that holds both.
        """
        stretch = self.begin(name, purpose=purpose, meter=meter or Meter(), looks=True)
        try:
            with announced(stretch.id):
                yield stretch.meter
        finally:
            stretch.end()

    def begin(
        self,
        stage: str,
        *,
        purpose: Purpose | None = None,
        meter: Meter,
        looks: bool = False,
    ) -> Stretch:
        """Open a stretch that somebody else will end; `stage` is the way to do it safely.

        looks: bring the file up to date every `CHECKPOINT_SECONDS`, and not only at `look()`.
        """
        stretch = Stretch(self._enter, stage, purpose or purpose_of(stage), meter)
        stretch.start(looks=looks and self.path is not None)
        return stretch

    def callback(self, stage: str = "train", *, purpose: Purpose | None = None) -> Any:
        """A callback for `fit` of Keras 3 and of tf_keras: every fit is a stretch of the stage."""
        from tfgreen.footprint.callback import StageCallback

        return StageCallback(self, stage, purpose)

    def add(self, other: Ledger | LedgerDocument | Iterable[Entry]) -> None:
        """Take over the entries of another ledger; those that are here already stay single."""
        entries = other.entries if isinstance(other, Ledger | LedgerDocument) else other
        self._take(entries)
        self._save()

    def total(self, *, stage: str | None = None, purpose: Purpose | None = None) -> Total:
        """The sum of all stages, or of one, or of one purpose.

        A stretch inside another one of the sum is in that one's figures, and not added again.
        Purposes add up to `total()`: what lies inside a stage counts for the purpose of that one.
        """
        chosen = [
            entry
            for entry in self.entries
            if stage in (None, entry.stage) and purpose in (None, entry.purpose)
        ]
        taken = set(self._entries) if stage is None else {entry.id for entry in chosen}
        return Total.of([entry for entry in chosen if not self._around(entry) & taken])

    def stages(self) -> dict[str, Total]:
        """The total of each stage, in the order in which they first began.

        They add up to `total()`: time of a stage that lies inside another one counts there.
        """
        outer = [entry for entry in self.entries if not self._around(entry) & set(self._entries)]
        names = dict.fromkeys(entry.stage for entry in outer)
        return {name: Total.of([one for one in outer if one.stage == name]) for name in names}

    @property
    def document(self) -> LedgerDocument:
        """The same as a frozen record."""
        return LedgerDocument(entries=self.entries)

    def to_json(self) -> str:
        """One JSON document, ending in a newline; `from_json` reads it back."""
        return self.document.to_json()

    @classmethod
    def from_json(cls, text: str | bytes, where: str = "This text") -> Ledger:
        """Read what `to_json` wrote. Raises InvalidDataError for anything else."""
        ledger = cls()
        ledger._take(LedgerDocument.from_json(text, where).entries)
        return ledger

    @classmethod
    def read(cls, path: str | Path) -> Ledger:
        """The ledger of a file, which is not written to.

        Raises MissingPathError, and InvalidDataError for a file that is no ledger.
        """
        place = Path(path)
        try:
            if place.stat().st_size > _LARGEST_BYTES:
                raise InvalidDataError(f"{place} is too large for a ledger.")
            content = place.read_bytes()
        except FileNotFoundError as error:
            raise MissingPathError(f"There is no ledger {place}.") from error
        except OSError as error:
            raise InvalidDataError(f"{place} cannot be read: {error.strerror}.") from error
        return cls.from_json(content, str(place))

    def __str__(self) -> str:
        lines = [_line(name, total) for name, total in self.stages().items()]
        return "\n".join([*lines, _line("total", self.total())])

    def _around(self, entry: Entry) -> set[str]:
        """Ids of the stretches around a stretch; a chain that bites its tail ends."""
        found: set[str] = set()
        inside: str | None = entry.within
        while inside is not None and inside not in found and inside != entry.id:
            found.add(inside)
            inside = self._entries[inside].within if inside in self._entries else None
        return found

    def _enter(self, entry: Entry) -> None:
        self._take([entry])
        self._save()

    def _take(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            known = self._entries.get(entry.id)
            self._entries[entry.id] = entry if known is None else longer(known, entry)

    def _save(self) -> None:
        """Write the file, together with what others have written to it meanwhile."""
        if self.path is None:
            return
        with explained(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with _alone_in(self.path.parent):
                if self.path.exists():
                    self._take(Ledger.read(self.path).entries)
                write_files({self.path: self.to_json().encode()}, force=True)


def as_ledger(given: Ledger | str | Path | None) -> Ledger | None:
    """A ledger as it may be given: itself, the path of one that must exist, or none."""
    return Ledger.read(given) if isinstance(given, str | Path) else given


def _line(name: str, total: Total) -> str:
    return (
        f"{name}: {amount_text(total.joules, 'J')} {total.method} "
        f"({', '.join(total.sources) or 'nothing entered'}), "
        f"{seconds_text(total.cpu_seconds)} of processor time, {seconds_text(total.wall_seconds)}"
        f"{f', {total.interrupted} interrupted' if total.interrupted else ''}"
    )


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Let one process at a time read, merge and write the ledgers of a folder."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
