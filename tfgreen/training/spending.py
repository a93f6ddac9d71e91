"""`Spent`: what a training has taken so far, in the three things that a budget limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfgreen.footprint.reading import Reading


@dataclass(frozen=True)
class Spent:
    """Energy (typical), processor time with children, and wall time."""

    joules: float = 0.0
    cpu_seconds: float = 0.0
    seconds: float = 0.0

    @classmethod
    def of(cls, reading: Reading) -> Spent:
        """What a meter has read."""
        return cls(reading.joules.typical, reading.cpu_seconds, reading.wall_seconds)

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.joules + other.joules,
            self.cpu_seconds + other.cpu_seconds,
            self.seconds + other.seconds,
        )

    def __sub__(self, other: Spent) -> Spent:
        return Spent(
            self.joules - other.joules,
            self.cpu_seconds - other.cpu_seconds,
            self.seconds - other.seconds,
        )
