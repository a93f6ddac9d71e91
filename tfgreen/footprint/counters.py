"""What every source of measured energy can do, and why one was passed over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from tfgreen.footprint.reading import SourceName


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
        """Energy since the counter was made; only differences say something."""

    def close(self) -> None:
        """Let go of what it holds; it is not asked again."""


@dataclass(frozen=True)
class PassedOver:
    """A source that cannot be used here, and the reason."""

    source: str
    reason: str
