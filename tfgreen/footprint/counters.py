"""What every source of measured energy can do, and why one was passed over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from tfgreen.footprint.reading import SourceName

_LONGEST_LINE = 300


class Counter(Protocol):
    """A meter of some hardware of this machine, whoever uses it."""

    @property
    def name(self) -> SourceName:
        """The source, as readings tell it."""

    @property
    def hardware(self) -> Literal["processor", "gpu"]:
        """What it measures."""

    @property
    def how(self) -> str:
        """Which counters, for people."""

    @property
    def leaves_out(self) -> tuple[str, ...]:
        """What it does not see."""

    @property
    def longest_gap_seconds(self) -> float | None:
        """It has to be asked at least so often; None for no limit."""

    def joules(self) -> float:
        """Energy since the counter was made; only differences say something.

        Raises OSError or ValueError where the hardware does not answer any more.
        """

    def close(self) -> None:
        """Let go of what it holds; it is not asked again."""


@dataclass(frozen=True)
class PassedOver:
    """A source that cannot be used here, and the reason."""

    source: str
    reason: str

    def __str__(self) -> str:
        """One plain line, whatever the reason was put together from."""
        plain = "".join(letter for letter in self.reason if letter.isprintable() or letter == "\n")
        return f"{self.source}: {' '.join(plain.split())}"[:_LONGEST_LINE]
