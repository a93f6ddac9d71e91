"""RAPL: the energy counters of Intel's and AMD's processors, as Linux shows them.

Every package has a folder `intel-rapl:N` with `name`, `energy_uj` and `max_energy_range_uj`;
`intel-rapl:N:M` are parts of it, of which only `dram` is not in the package's own figure
(https://docs.kernel.org/power/powercap/powercap.html). `psys` is the whole board, packages
included, and `intel-rapl-mmio` counts a package a second time: both are left alone.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from tfgreen.footprint.counters import PassedOver

POWERCAP = Path("/sys/class/powercap")
NAME: Literal["RAPL"] = "RAPL"

_MICRO = 1e-6
# A package that draws more than this wraps around twice unseen; the largest draw below 1 kW.
_MOST_WATTS = 1000.0
_LONGEST_GAP_SECONDS = 60.0
_SLEPT_SECONDS = 1.0


class RaplCounter:
    """All packages of the machine, and their memory where it is counted.

    >>> RaplCounter.find(Path("/nonexistent"))
    PassedOver(source='RAPL', reason='there are no counters in /nonexistent (a virtual machine ...
    """

    name: Literal["RAPL"] = NAME
    hardware: Literal["processor"] = "processor"

    def __init__(self, packages: list[_Zone], memories: list[_Zone]) -> None:
        self._zones = [*packages, *memories]
        self.how = f"RAPL counters {', '.join(zone.name for zone in self._zones)}"
        rest = "disks, network, fans and losses of the power supply"
        sees_all_memory = len(memories) >= len(packages)
        memory = "memory of some packages" if memories else "memory"
        self.leaves_out = (rest,) if sees_all_memory else (memory, rest)
        shortest = min(zone.range_joules for zone in self._zones) / _MOST_WATTS
        self.longest_gap_seconds: float | None = min(_LONGEST_GAP_SECONDS, shortest / 2)

    @classmethod
    def find(cls, root: Path = POWERCAP) -> RaplCounter | PassedOver:
        """The counters below a folder, or why there are none."""
        try:
            folders = sorted(root.glob("intel-rapl:*"))
        except OSError:
            folders = []
        packages = [folder for folder in folders if _name(folder).startswith("package")]
        if not packages:
            return PassedOver(NAME, f"there are no counters in {root} (a virtual machine has none)")
        try:
            zones = [_Zone(folder) for folder in packages]
        except PermissionError as error:
            return PassedOver(
                NAME,
                f"{error.filename} may be read by root only; an administrator can change that: "
                f"chmod a+r {root}/intel-rapl:*/energy_uj",
            )
        except (OSError, ValueError) as error:
            return PassedOver(NAME, f"its counters cannot be read ({error})")
        return cls(zones, _readable(folder for folder in folders if _name(folder) == "dram"))

    def joules(self) -> float:
        """Energy of all packages since the counter was made.

        A counter that went backwards has wrapped around once: ask at least every
        `longest_gap_seconds`. If the machine slept meanwhile, it has begun anew at 0.
        """
        return sum(zone.joules() for zone in self._zones)

    def close(self) -> None:
        """Nothing is held."""


class _Zone:
    """One counter that wraps around."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "energy_uj"
        self.name = (folder / "name").read_text().strip()
        self._range_uj = int((folder / "max_energy_range_uj").read_text())
        if self._range_uj <= 0:
            raise ValueError(f"{folder} tells a range of {self._range_uj} uJ")
        self._last_uj, self._slept_seconds = self._read(), _slept_seconds()
        self._total_uj = 0

    @property
    def range_joules(self) -> float:
        """Energy after which the counter begins again."""
        return self._range_uj * _MICRO

    def joules(self) -> float:
        """Since the zone was opened."""
        now, slept_seconds = self._read(), _slept_seconds()
        step = now - self._last_uj
        if step < 0:
            began_anew = slept_seconds - self._slept_seconds > _SLEPT_SECONDS
            step = now if began_anew else step + self._range_uj
        self._total_uj += step
        self._last_uj, self._slept_seconds = now, slept_seconds
        return self._total_uj * _MICRO

    def _read(self) -> int:
        return int(self._file.read_text())


def _name(folder: Path) -> str:
    """What a zone is called; empty where nobody tells."""
    try:
        return (folder / "name").read_text().strip()
    except OSError:
        return ""


def _readable(folders: Iterable[Path]) -> list[_Zone]:
    """Zones without those whose counter does not answer."""
    found = []
    for folder in folders:
        with contextlib.suppress(OSError, ValueError):
            found.append(_Zone(folder))
    return found


def _slept_seconds() -> float:
    """How long the machine has slept since it started; 0 where nobody tells."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
