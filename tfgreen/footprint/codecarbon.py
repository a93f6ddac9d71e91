"""codecarbon's offline tracker, where it has a meter that we have not.

It reads Apple's powermetrics, Windows' Energy Meter Interface, Intel's Power Gadget and the
Raspberry Pi 5's power chip. Where it finds none of them it falls back on a constant or a share of
the processor's TDP: that is no measurement and has no range, so it is passed over for our own
model. Its constant for memory (20 W) is never taken.

Every output and every address is switched off by hand, whatever its configuration file says.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from tfgreen.footprint.counters import PassedOver
from tfgreen.footprint.rates import JOULES_PER_KWH

NAME: Literal["codecarbon"] = "codecarbon"

_METERS = ("intel_power_gadget", "windows_emi", "intel_rapl")
_METERED_CLASSES = ("AppleSiliconChip", "Raspberry")
_SAMPLE_SECONDS = 5.0

OFFLINE: Mapping[str, Any] = MappingProxyType(
    {
        "country_iso_code": "DEU",  # it wants one; only its joules are read
        "output_methods": [],
        "output_handlers": [],
        "emissions_endpoint": None,
        "electricitymaps_api_token": None,
        "force_carbon_intensity_g_co2e_kwh": 0.0,
        "cloud_provider": None,
        "cloud_region": None,
        "force_cpu_power": None,
        "force_mode_cpu_load": False,
        "pue": 1.0,
        "allow_multiple_runs": True,
        "tracking_mode": "machine",
        "log_level": "critical",
        "gpu_ids": [],
        "measure_power_secs": _SAMPLE_SECONDS,
    }
)


class CodecarbonCounter:
    """The processor of the whole machine, as codecarbon's own meters tell."""

    name: Literal["codecarbon"] = NAME
    hardware: Literal["processor"] = "processor"
    longest_gap_seconds: float | None = None
    leaves_out = ("memory, disks, network and losses of the power supply",)

    def __init__(self, tracker: Any, meter: str) -> None:
        self._tracker = tracker
        self.how = f"codecarbon's {meter}"

    @classmethod
    def find(cls) -> CodecarbonCounter | PassedOver:
        """A running tracker with a meter, or why there is none."""
        reason = _reason_against()
        if reason is not None:
            return PassedOver(NAME, reason)
        tracker = _started()
        return cls(tracker, str(_meter_of(tracker)))

    def joules(self) -> float:
        """Energy of the processor since the tracker started."""
        self._tracker.flush()
        return float(self._tracker._total_cpu_energy.kWh) * JOULES_PER_KWH

    def close(self) -> None:
        """Stop its threads."""
        self._tracker.stop()


@cache
def _reason_against() -> str | None:
    """Why it cannot measure here; looked into once in a process, since it takes a second."""
    if sys.platform == "linux" and not _is_raspberry():
        return "on Linux it reads no counter but RAPL's"
    if importlib.util.find_spec("codecarbon") is None:
        return 'it is not installed (pip install "tfgreen[energy]")'
    try:
        tracker = _started()
        tracker.stop()
    except Exception as error:  # noqa: BLE001 - whatever its probing of the machine runs into
        return f"it does not start ({type(error).__name__}: {error})"
    if _meter_of(tracker) is None:
        return "it has no meter here and would only guess from the processor's name"
    return None


def _is_raspberry() -> bool:
    try:
        return "Raspberry" in Path("/proc/device-tree/model").read_text(errors="replace")
    except OSError:
        return False


def _started() -> Any:
    logger = logging.getLogger(NAME)
    level, was_disabled = logger.level, logger.disabled
    logger.disabled = True  # it speaks before it reads its own level
    try:
        from codecarbon import OfflineEmissionsTracker

        tracker = OfflineEmissionsTracker(**OFFLINE)
        tracker.start()
    finally:
        logger.disabled = was_disabled
        logger.setLevel(level)
    return tracker


def _meter_of(tracker: Any) -> str | None:
    """What the tracker reads the processor's power from; None where it only guesses."""
    for hardware in getattr(tracker, "_hardware", ()):
        kind = type(hardware).__name__
        mode = getattr(hardware, "_mode", None)
        if kind in _METERED_CLASSES and getattr(hardware, "chip_part", "CPU") == "CPU":
            return kind
        if kind == "CPU" and mode in _METERS:
            return str(mode)
    return None
