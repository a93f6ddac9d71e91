"""A powercap tree in a folder, as /sys/class/powercap has it, with counters that the test turns."""

from __future__ import annotations

from pathlib import Path

import pytest

RANGE_UJ = 1_000_000_000  # 1 kJ


class PowercapTree:
    """Zones by folder name; `spend` turns a counter, wrapping around like the hardware."""

    def __init__(self, root: Path, range_uj: int = RANGE_UJ) -> None:
        self.root, self._range_uj = root, range_uj
        self.add("intel-rapl:0", "package-0", start_uj=range_uj - 1)
        self.add("intel-rapl:0:0", "core")
        self.add("intel-rapl:0:1", "dram")
        self.add("intel-rapl:1", "psys")
        self.add("intel-rapl-mmio:0", "package-0")

    def add(self, folder: str, name: str, start_uj: int = 0) -> None:
        place = self.root / folder
        place.mkdir(parents=True)
        (place / "name").write_text(f"{name}\n")
        (place / "max_energy_range_uj").write_text(f"{self._range_uj}\n")
        (place / "energy_uj").write_text(f"{start_uj}\n")

    def spend(self, joules: float, folder: str = "intel-rapl:0") -> None:
        place = self.root / folder / "energy_uj"
        now = int(place.read_text()) + round(joules * 1e6)
        whole = place.with_name("new")  # nobody reads half a number
        whole.write_text(f"{now % self._range_uj}\n")
        whole.replace(place)


def refuse_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counters for root only, whoever runs the tests."""
    read = Path.read_text

    def refuse(path: Path, *args: str, **kwargs: str) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", refuse)


def write_machine_time(proc: Path, busy_seconds: float) -> None:
    """The first line of /proc/stat, with ticks of 10 ms; idle and waiting are no work."""
    proc.mkdir(exist_ok=True)
    ticks = round(busy_seconds * 100)
    (proc / "stat").write_text(f"cpu  {ticks} 0 0 987654 321 0 0 0 0 0\ncpu0 1 2 3\n")
