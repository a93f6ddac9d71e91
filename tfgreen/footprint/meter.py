"""`Meter`: the energy of a stretch of this process, and how it is known."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

from tfgreen.errors import UnknownNameError, UsageError
from tfgreen.footprint import estimate
from tfgreen.footprint.attribution import measured_part, modelled_part, share_of
from tfgreen.footprint.counters import Counter
from tfgreen.footprint.cpu_time import (
    COUNTS_CHILDREN,
    PROC,
    MachineTime,
    machine_time,
    own_cpu_seconds,
)
from tfgreen.footprint.powercap import POWERCAP
from tfgreen.footprint.reading import Reading
from tfgreen.footprint.sources import Found, Source, find_sources

Scope = Literal["process", "machine"]


@dataclass(frozen=True)
class _Moment:
    """All that is read at one time."""

    seconds: float
    cpu_seconds: float
    machine: MachineTime
    joules: tuple[float | None, ...]  # None: the counter did not answer


class Meter:
    """Measures what runs between `start` and `stop`, or inside `with`.

    Sources, in this order: RAPL (Linux), NVML for GPUs, codecarbon's meters (macOS, Windows,
    Raspberry Pi 5), else the model: processor seconds times a range of watts a thread. The
    reading names the one that was used. Nothing touches the network.

    A processor's counter counts for everybody. Of its energy this process, with its children, is
    attributed its share of all processor seconds that were worked; the lower bound is its share
    of those that could have been worked, the upper bound all of the energy.

    Args:
        source: "auto" by default, or the only one to use: "rapl", "nvml", "codecarbon", "model".
        watts: for the model: a name of the table ("unknown", "server", "raspberry-pi-4"), one
            number, or (low, typical, high) of one busy thread.
        scope: "process", or "machine" for all of what the counters tell.
        powercap, proc: where the system shows its counters.

    Raises:
        UnknownNameError, UsageError: an argument that there is not.
        MissingDependencyError: the source that was asked for cannot be used here.

    >>> with Meter(source="model", watts=(1, 2, 4)) as meter:
    ...     total = sum(range(1000))
    >>> meter.reading.method, meter.reading.source
    ('modelled', 'model')
    """

    def __init__(
        self,
        source: Source = "auto",
        *,
        watts: str | float | Sequence[float] | estimate.Watts = estimate.DEFAULT_WATTS,
        scope: Scope = "process",
        powercap: str | Path = POWERCAP,
        proc: str | Path = PROC,
    ) -> None:
        if scope not in ("process", "machine"):
            raise UnknownNameError("scope of a meter", scope, ("process", "machine"))
        self._source, self._scope, self._watts = source, scope, estimate.watts_of(watts)
        self._powercap, self._proc = Path(powercap), Path(proc)
        self._found: Found | None = None
        self._begin: _Moment | None = None
        self._reading: Reading | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._watcher: threading.Thread | None = None

    @property
    def reading(self) -> Reading:
        """What was measured; while it runs, what was measured so far.

        Raises UsageError before the start.
        """
        if self._begin is not None:
            return self._read()
        if self._reading is None:
            raise UsageError("This meter was not started yet: use `with meter:` or meter.start().")
        return self._reading

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._begin is not None

    def start(self, every: Callable[[], None] | None = None, seconds: float = 10.0) -> Meter:
        """Begin a new reading.

        every: called each so many seconds from another thread, while it runs.

        Raises UsageError while it runs.
        """
        if self._begin is not None:
            raise UsageError("This meter runs already. Stop it first, or use another one.")
        self._found = find_sources(self._source, self._powercap)
        self._begin = self._moment()
        gaps = [one.longest_gap_seconds for one in self._found.counters]
        gap = min(
            [one for one in gaps if one is not None] + ([seconds] if every else []), default=0
        )
        if gap:
            self._ended.clear()
            self._watcher = threading.Thread(target=self._watch, args=(gap, every), daemon=True)
            self._watcher.start()
        return self

    def stop(self) -> Reading:
        """End the reading and return it. Raises UsageError where it does not run."""
        if self._begin is None or self._found is None:
            raise UsageError("This meter does not run. Start it before you stop it.")
        if self._watcher is not None:
            self._ended.set()
            self._watcher.join()
            self._watcher = None
        self._reading = self._read()
        self._begin = None
        for counter in self._found.counters:
            counter.close()
        return self._reading

    def __enter__(self) -> Meter:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _watch(self, gap_seconds: float, every: Callable[[], None] | None) -> None:
        """Ask the counters before they wrap around twice."""
        while not self._ended.wait(gap_seconds):
            self._asked()
            if every is not None:
                every()

    @property
    def _counters(self) -> tuple[Counter, ...]:
        return self._found.counters if self._found else ()

    def _asked(self) -> tuple[float | None, ...]:
        with self._lock:
            return tuple(_joules_of(counter) for counter in self._counters)

    def _moment(self) -> _Moment:
        joules = self._asked()
        return _Moment(time.perf_counter(), own_cpu_seconds(), machine_time(self._proc), joules)

    def _read(self) -> Reading:
        begin, end = self._begin, self._moment()
        if begin is None or self._found is None:
            raise UsageError("This meter does not run.")
        share = share_of(begin.cpu_seconds, end.cpu_seconds, begin.machine, end.machine)
        own = max(0.0, end.cpu_seconds - begin.cpu_seconds)
        counted, lost = _steps(self._found.counters, begin.joules, end.joules)
        parts = [
            measured_part(one, joules, share, of_machine=self._scope == "machine")
            for one, joules in counted.items()
        ]
        leaves_out = [what for one in counted for what in one.leaves_out]
        wants_processor = self._source != "nvml" or not counted
        if wants_processor and not any(one.hardware == "processor" for one in counted):
            parts.append(modelled_part(own, self._watts))
            leaves_out += estimate.LEAVES_OUT
        if not any(one.hardware == "gpu" for one in counted):
            leaves_out.append("GPUs and other accelerators")
        if not COUNTS_CHILDREN:
            leaves_out.append("child processes, whose processor time this system does not tell")
        return Reading(
            parts=tuple(parts),
            cpu_seconds=own,
            wall_seconds=end.seconds - begin.seconds,
            leaves_out=tuple(dict.fromkeys(leaves_out)),
            passed_over=(
                *map(str, self._found.passed_over),
                *(f"{one.name}: it stopped answering, or began anew, in use" for one in lost),
            ),
        )


def _joules_of(counter: Counter) -> float | None:
    try:
        return counter.joules()
    except (OSError, ValueError):  # a stretch of hours is not lost for it: the reading tells
        return None


def _steps(
    counters: Sequence[Counter],
    before: Sequence[float | None],
    after: Sequence[float | None],
) -> tuple[dict[Counter, float], list[Counter]]:
    """Joules of the counters that answered both times and went on counting, and the others."""
    counted: dict[Counter, float] = {}
    lost = []
    for counter, first, last in zip(counters, before, after, strict=True):
        if first is None or last is None or last < first:
            lost.append(counter)
        else:
            counted[counter] = last - first
    return counted, lost
