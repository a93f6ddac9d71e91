"""The packages that tfgreen stands on: what is installed, read without importing any of it."""

from __future__ import annotations

import importlib.metadata
import platform

DISTRIBUTIONS = (
    "tfgreen",
    "tensorflow",
    "tf_keras",
    "tensorflow-model-optimization",
    "keras",
    "numpy",
    "h5py",
    "ai-edge-litert",
    "ai-edge-quantizer",
    "flatbuffers",
    "protobuf",
    "click",
    "rich",
    "pydantic",
    "tflite-micro",
    "pillow",
)
"""Names as on the package index, in the order in which people want to read them."""


def installed_version(distribution: str) -> str | None:
    """The version of an installed package; None when it is missing.

    >>> installed_version("no-such-package") is None
    True
    """
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def stack_versions() -> dict[str, str]:
    """Python and every package of the stack that is installed, name → version."""
    found = {name: installed_version(name) for name in DISTRIBUTIONS}
    return {"python": platform.python_version()} | {
        name: version for name, version in found.items() if version is not None
    }
