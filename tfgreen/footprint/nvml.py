"""NVML: the energy counters of NVIDIA's GPUs (Volta and later), through nvidia-ml-py.

`nvmlDeviceGetTotalEnergyConsumption` tells millijoules since the driver was loaded, for the whole
GPU (https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html). The driver on this
machine is asked, no network.
"""

from __future__ import annotations

import os
from typing import Any, Literal

from tfgreen.footprint.counters import PassedOver

NAME: Literal["NVML"] = "NVML"
_MILLI = 1e-3


class NvmlCounter:
    """All GPUs that this process may see (CUDA_VISIBLE_DEVICES)."""

    name: Literal["NVML"] = NAME
    hardware: Literal["gpu"] = "gpu"
    longest_gap_seconds: float | None = None
    leaves_out = ("the host's share in feeding the GPUs, beyond its processor",)

    def __init__(self, library: Any, handles: list[Any]) -> None:
        self._library, self._handles = library, handles
        self.how = f"NVML energy counters of {len(handles)} GPU{'s' if len(handles) > 1 else ''}"
        self._first = self._read()

    @classmethod
    def find(cls) -> NvmlCounter | PassedOver:
        """The GPUs, or why there are none to measure."""
        if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
            return PassedOver(NAME, "CUDA_VISIBLE_DEVICES hides every GPU")
        try:
            import pynvml
        except ImportError:
            return PassedOver(NAME, "nvidia-ml-py is not installed")
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            return PassedOver(NAME, f"there is no NVIDIA driver ({error})")
        try:
            return cls(pynvml, _visible(pynvml))
        except (pynvml.NVMLError, ValueError) as error:
            pynvml.nvmlShutdown()
            return PassedOver(NAME, f"its energy counters cannot be read ({error})")

    def joules(self) -> float:
        """Energy of all visible GPUs since the counter was made."""
        try:
            return self._read() - self._first
        except self._library.NVMLError as error:
            raise OSError(f"NVML does not answer ({error})") from error

    def close(self) -> None:
        """Let go of the library."""
        self._library.nvmlShutdown()

    def _read(self) -> float:
        read = self._library.nvmlDeviceGetTotalEnergyConsumption
        return sum(read(handle) for handle in self._handles) * _MILLI


def _visible(library: Any) -> list[Any]:
    """Handles of the GPUs that CUDA_VISIBLE_DEVICES names; of all where it is not set."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        found = range(library.nvmlDeviceGetCount())
        handles = [library.nvmlDeviceGetHandleByIndex(index) for index in found]
    else:
        handles = [_handle(library, name.strip()) for name in named.split(",")]
    if not handles:
        raise ValueError("no GPU is there")
    return handles


def _handle(library: Any, name: str) -> Any:
    if name.isdigit():
        return library.nvmlDeviceGetHandleByIndex(int(name))
    return library.nvmlDeviceGetHandleByUUID(name)
