"""Processor time: of this process with its children, and of the whole machine."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

PROC = Path("/proc")
COUNTS_CHILDREN = resource is not None

# Fields of /proc/<pid>/stat after the name: utime, stime, and those of children waited for.
_TIMES = slice(11, 15)
# Fields of the first line of /proc/stat that are work: user, nice, system, irq, softirq.
_WORK = (0, 1, 2, 5, 6)
_FIELDS = 8


def own_cpu_seconds() -> float:
    """This process, the children it has waited for, and on Linux those that run now.

    A child that was running at one call and has ended at the next is counted for its time in
    between only. Elsewhere a child's time appears when it ends, and on Windows never.
    """
    waited_for = 0.0
    if resource is not None:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        waited_for = usage.ru_utime + usage.ru_stime
    return time.process_time() + waited_for + _running_children_seconds(os.getpid())


@dataclass(frozen=True)
class MachineTime:
    """Processor seconds of all processes since the machine started; None where nobody tells.

    capacity_seconds: what all processors could have given since some fixed moment.
    """

    busy_seconds: float | None
    capacity_seconds: float


def machine_time(proc: Path = PROC) -> MachineTime:
    """How busy the machine has been (Linux), and how busy it could have been."""
    capacity = time.monotonic() * (os.cpu_count() or 1)
    try:
        first = (proc / "stat").read_text().splitlines()[0].split()
        ticks = [int(field) for field in first[1 : 1 + _FIELDS]]
        busy = sum(ticks[index] for index in _WORK)
    except (OSError, ValueError, IndexError):
        return MachineTime(None, capacity)
    return MachineTime(busy / _ticks_per_second(), capacity)


def _running_children_seconds(process_id: int) -> float:
    """Of the descendants that have not been waited for yet; 0 where /proc is missing."""
    ticks = 0
    waiting = [process_id]
    while waiting:
        parent = waiting.pop()
        for child in _children(parent):
            waiting.append(child)
            ticks += _ticks(child)
    return ticks / _ticks_per_second() if ticks else 0.0


def _children(process_id: int) -> list[int]:
    """Those that each of its threads has started."""
    try:
        threads = list((PROC / str(process_id) / "task").iterdir())
    except OSError:  # it ended meanwhile, or there is no /proc
        return []
    found: list[int] = []
    for thread in threads:
        with contextlib.suppress(OSError):  # the thread ended meanwhile
            found += map(int, (thread / "children").read_text().split())
    return found


def _ticks(process_id: int) -> int:
    try:
        fields = (PROC / str(process_id) / "stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return 0
    return sum(map(int, fields[_TIMES]))


def _ticks_per_second() -> int:
    return os.sysconf("SC_CLK_TCK")
