"""`Stretch`: a stage being measured, from its start to its end, for a ledger."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import uuid
from collections.abc import Callable, Iterator

from pydantic import ValidationError

from tfgreen.errors import TfgreenError, UsageError
from tfgreen.footprint.entry import Entry, Purpose
from tfgreen.footprint.meter import Meter
from tfgreen.footprint.reading import Reading

CHECKPOINT_SECONDS = 10.0
"""How often a ledger on disk is brought up to date while a stage runs."""

# In the environment, so that child processes of a stage know that they are measured with it.
_OPEN_STAGE = "TFGREEN_OPEN_STAGE"
_open_here: list[str] = []


class Stretch:
    """One stretch of a stage, entered at its start, at every look and at its end.

    Args:
        enter: takes the entry as it stands. meter: one that does not run.
    """

    def __init__(
        self, enter: Callable[[Entry], None], stage: str, purpose: Purpose, meter: Meter
    ) -> None:
        self.id = uuid.uuid4().hex
        self.meter = meter
        self._enter = enter
        self._fixed = {
            "id": self.id,
            "stage": stage,
            "purpose": purpose,
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds"),
            "within": _stage_around(),
        }

    def start(self, *, looks: bool = False) -> None:
        """Begin to measure; with `looks`, look by itself every `CHECKPOINT_SECONDS`."""
        self.meter.start(self._look_quietly if looks else None, CHECKPOINT_SECONDS)
        try:
            self.look()
        except BaseException:
            self.meter.stop()
            raise

    def look(self) -> None:
        """Enter what was spent so far."""
        self._enter(self._entry(self.meter.reading, finished=False))

    def end(self) -> None:
        """Stop to measure, and enter it for good."""
        self._enter(self._entry(self.meter.stop(), finished=True))

    def _look_quietly(self) -> None:
        with contextlib.suppress(TfgreenError):  # the end tells if it cannot be written
            self.look()

    def _entry(self, reading: Reading, *, finished: bool) -> Entry:
        try:
            return Entry.model_validate({**self._fixed, "reading": reading, "finished": finished})
        except ValidationError as error:
            raise UsageError(
                f"Received the stage {self._fixed['stage']!r} for {self._fixed['purpose']!r}; "
                'expected a name of up to 60 letters, digits and " .()/+-_", and "training" or '
                '"compression".'
            ) from error


@contextlib.contextmanager
def announced(identity: str) -> Iterator[None]:
    """Name a stretch as the one around all that begin now; leave the environment as it was.

    Stretches of several threads may end in any order: the latest that is still open is named.
    """
    if not _open_here:
        _open_here.append(os.environ.get(_OPEN_STAGE, ""))  # of the process that started this one
    _open_here.append(identity)
    os.environ[_OPEN_STAGE] = identity
    try:
        yield
    finally:
        _open_here.remove(identity)
        around = _open_here[-1]
        if len(_open_here) == 1:
            _open_here.clear()
        if around:
            os.environ[_OPEN_STAGE] = around
        else:
            os.environ.pop(_OPEN_STAGE, None)


def _stage_around() -> str | None:
    """The stretch that is open in this process or in the one that started it."""
    identity = os.environ.get(_OPEN_STAGE, "")
    return identity if re.fullmatch("[0-9a-f]{32}", identity) else None
