"""The packages that tfgreen stands on: what is installed, read without importing any of it."""

from __future__ import annotations

import configparser
import importlib.metadata
import platform
from pathlib import Path

REQUIRED = (
    "tensorflow",
    "tf_keras",
    "tensorflow-model-optimization",
    "keras",
    "numpy",
    "h5py",
    "ai-edge-litert",
    "ai-edge-quantizer",
    "flatbuffers",
    "click",
    "rich",
    "pydantic",
)
"""What tfgreen needs, named as on the package index."""

OPTIONAL = {
    "tflite-micro": "mcu",
    "ethos-u-vela": "mcu",
    "codecarbon": "energy",
    "pillow": "images",
    "jinja2": "report",
    "matplotlib": "report",
}
"""What only some do need: package → the extra that brings it."""

INDIRECT = ("protobuf",)
"""What others bring along and often clashes."""


def installed_version(distribution: str) -> str | None:
    """The version of an installed package; None when it is missing.

    >>> installed_version("no-such-package") is None
    True
    """
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def tfgreen_version() -> str:
    """The version of tfgreen, in a checkout that is not installed too."""
    installed = installed_version("tfgreen")
    if installed is not None:
        return installed
    configuration = configparser.ConfigParser()
    configuration.read(Path(__file__).parents[1] / "setup.cfg", encoding="utf-8")
    return configuration.get("metadata", "version", fallback="unknown")


def stack_versions() -> dict[str, str]:
    """Python, tfgreen and every package of the stack that is installed, name → version."""
    found = {name: installed_version(name) for name in (*REQUIRED, *INDIRECT, *OPTIONAL)}
    return {"python": platform.python_version(), "tfgreen": tfgreen_version()} | {
        name: version for name, version in found.items() if version is not None
    }
