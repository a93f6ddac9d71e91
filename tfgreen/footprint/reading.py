"""`Reading`: what a stretch of computing took, part by part, and how that is known."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from pydantic import model_validator

from tfgreen.footprint.amounts import Amount, NotNegative, Sentence
from tfgreen.footprint.units import LARGEST
from tfgreen.footprint.wording import amount_text, seconds_text
from tfgreen.records import Record

Method = Literal["measured", "modelled"]
SourceName = Literal["RAPL", "NVML", "codecarbon", "model"]


class Part(Record):
    """The energy of one kind of hardware.

    source: what told: "RAPL", "NVML", "codecarbon" or "model".
    method: "measured" where the energy comes from a counter, even if a share of it is attributed;
        "modelled" where it is computed from processor time.
    how: a sentence: which counters or watts, and which share of them is ours.
    """

    hardware: Literal["processor", "gpu"]
    source: SourceName
    method: Method
    joules: Amount
    how: Sentence


class Reading(Record):
    """Energy and time of one stretch.

    cpu_seconds: of this process and the child processes it started.
    leaves_out: what the joules do not hold.
    passed_over: sources that could not be used, each with the reason.
    """

    parts: tuple[Part, ...]
    cpu_seconds: NotNegative
    wall_seconds: NotNegative
    leaves_out: tuple[Sentence, ...] = ()
    passed_over: tuple[Sentence, ...] = ()

    @model_validator(mode="after")
    def _can_be_added_up(self) -> Reading:
        most = max(self.cpu_seconds, self.wall_seconds, *(one.joules.high for one in self.parts))
        if most > LARGEST:
            raise ValueError(f"received {most:g}; expected joules and seconds up to {LARGEST:g}")
        return self

    @property
    def joules(self) -> Amount:
        """All parts together."""
        return Amount.sum(part.joules for part in self.parts)

    @property
    def method(self) -> Method:
        """ "measured" only if every part was."""
        return weakest(part.method for part in self.parts)

    @property
    def source(self) -> str:
        """The sources of all parts, as "RAPL + NVML"."""
        return " + ".join(dict.fromkeys(part.source for part in self.parts))

    def sentence(self) -> str:
        """One line to quote, with method and bounds."""
        return (
            f"{amount_text(self.joules, 'J')} ({self.method}, {self.source}) in "
            f"{seconds_text(self.wall_seconds)}, {seconds_text(self.cpu_seconds)} of processor time"
        )

    def __str__(self) -> str:
        lines = [self.sentence() + "."]
        lines += [f"  {part.how}" for part in self.parts]
        lines += [f"  Left out: {what}." for what in self.leaves_out]
        lines += [f"  Not used: {why}." for why in self.passed_over]
        return "\n".join(lines)


def weakest(methods: Iterable[Method]) -> Method:
    """The method of a sum: "measured" only if every part was.

    >>> weakest(["measured", "modelled"]), weakest(["measured"]), weakest([])
    ('modelled', 'measured', 'modelled')
    """
    every = list(methods)
    return "measured" if every and all(one == "measured" for one in every) else "modelled"


def total_seconds(seconds: Iterable[float]) -> float:
    """A sum that does not depend on the order of what is added."""
    return math.fsum(seconds)
