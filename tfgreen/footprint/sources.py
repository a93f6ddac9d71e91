"""Which meters there are on this machine, in the order in which they are trusted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from tfgreen.errors import MissingDependencyError, UnknownNameError
from tfgreen.footprint.codecarbon import CodecarbonCounter
from tfgreen.footprint.counters import Counter, PassedOver
from tfgreen.footprint.nvml import NvmlCounter
from tfgreen.footprint.powercap import POWERCAP, RaplCounter

Source = Literal["auto", "rapl", "nvml", "codecarbon", "model"]


@dataclass(frozen=True)
class Found:
    """The counters in use, and the sources that were passed over with the reason.

    No counter of the processor: its energy is modelled.
    """

    counters: tuple[Counter, ...]
    passed_over: tuple[PassedOver, ...]


def find_sources(source: Source = "auto", powercap: Path = POWERCAP) -> Found:
    """Look for meters: RAPL, NVML beside it for GPUs, codecarbon where there is no RAPL.

    Args:
        source: "auto", or the only one that may be used; "model" for none.
        powercap: the folder of RAPL's counters.

    Raises:
        UnknownNameError: no such source.
        MissingDependencyError: the one that was asked for cannot be used here.
    """
    if source not in get_args(Source):
        raise UnknownNameError("source of energy", source, get_args(Source))
    if source == "model":
        return Found((), ())
    found = _found(source, powercap)
    counters = tuple(one for one in found if not isinstance(one, PassedOver))
    passed_over = tuple(one for one in found if isinstance(one, PassedOver))
    if source != "auto" and not counters:
        missing = passed_over[0]
        raise MissingDependencyError(
            f"The energy source {missing.source} cannot be used: {missing.reason}. Use "
            'source="auto" or "model".'
        )
    return Found(counters, passed_over)


def _found(source: Source, powercap: Path) -> list[Counter | PassedOver]:
    if source == "rapl":
        return [RaplCounter.find(powercap)]
    if source == "nvml":
        return [NvmlCounter.find()]
    if source == "codecarbon":
        return [CodecarbonCounter.find()]
    rapl = RaplCounter.find(powercap)
    found: list[Counter | PassedOver] = [rapl, NvmlCounter.find()]
    if isinstance(rapl, PassedOver):
        found.append(CodecarbonCounter.find())
    return found
