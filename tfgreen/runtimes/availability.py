"""Which kernel sets can run here, told without importing any of them."""

from __future__ import annotations

import importlib.util
import platform
import sys
from importlib import metadata

from tfgreen.errors import MissingDependencyError, UnknownNameError
from tfgreen.runtimes.protocol import KERNEL_SETS, Availability

_MICRO_WHEELS = ("linux", "x86_64")


def availability(kernel_set: str) -> Availability:
    """Whether the package behind a kernel set is installed.

    >>> availability("reference").available
    True

    Raises:
        UnknownNameError: no kernel set has that name.
    """
    if kernel_set not in KERNEL_SETS:
        raise UnknownNameError("kernel set", kernel_set, KERNEL_SETS)
    if kernel_set == "numpy":  # our own, and NumPy is always there
        return Availability(True, _version("tfgreen"))
    if kernel_set == "micro":
        return _micro()
    if importlib.util.find_spec("ai_edge_litert") is None:
        return Availability(
            False,
            None,
            f"The {kernel_set} kernels need ai-edge-litert, which is not installed. "
            "Install it: pip install ai-edge-litert",
        )
    return Availability(True, _version("ai-edge-litert"))


def require(kernel_set: str) -> None:
    """Raise unless a kernel set can run here.

    Raises:
        UnknownNameError: no kernel set has that name.
        MissingDependencyError: its package is not installed; the message has the pip line.
    """
    found = availability(kernel_set)
    if not found.available:
        raise MissingDependencyError(found.reason)


def _micro() -> Availability:
    if importlib.util.find_spec("tflite_micro") is not None:
        return Availability(True, _version("tflite-micro"))
    machine = (sys.platform, platform.machine())
    if machine != _MICRO_WHEELS:
        reason = (
            "The micro kernels need tflite-micro, which has wheels for Linux on x86-64 only; "
            f'this is {machine[0]} on {machine[1]}. There: pip install "tfgreen[mcu]"'
        )
        return Availability(False, None, reason)
    reason = (
        "The micro kernels need tflite-micro, which is not installed. "
        'Install it: pip install "tfgreen[mcu]"'
    )
    return Availability(False, None, reason)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # a nightly build goes by another name
        return None
