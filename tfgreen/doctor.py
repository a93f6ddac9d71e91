"""What is installed, what is missing and what clashes, told without importing any of it.

Only the standard library is needed here, so that this works when nothing else does (`packaging`,
which TensorFlow brings along, is used for version ranges when it is there).
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tfgreen.stack import INDIRECT, OPTIONAL, REQUIRED, installed_version, tfgreen_version

State = Literal["ok", "missing", "optional", "clash"]

_VERIFIES_ALONE = ("numpy", "ai-edge-litert", "flatbuffers", "click", "rich", "pydantic")


@dataclass(frozen=True)
class Package:
    """One package of the stack.

    state: `ok`; `missing` and `clash` (its version is outside of what another package asks for)
        are problems; `optional` is missing too, and brought by an extra.
    message: what is wrong and the pip line that mends it; empty when nothing is.
    """

    name: str
    version: str | None
    state: State
    message: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """The machine as tfgreen sees it. `healthy` is False when a required package is off."""

    tfgreen: str
    python: str
    platform: str
    cpus: int
    packages: tuple[Package, ...]
    hints: tuple[str, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """The messages of what is missing or clashes."""
        return tuple(p.message for p in self.packages if p.state in ("missing", "clash"))

    @property
    def healthy(self) -> bool:
        """Whether nothing that is required is missing or clashes."""
        return not self.problems

    def to_json(self) -> str:
        """JSON text, indented by two, ended by a newline."""
        return json.dumps({**asdict(self), "healthy": self.healthy}, indent=2) + "\n"


def diagnose() -> Diagnosis:
    """Look at the installed packages and the environment of this process."""
    return Diagnosis(
        tfgreen=tfgreen_version(),
        python=platform.python_version(),
        platform=platform.platform(),
        cpus=os.cpu_count() or 1,
        packages=tuple(_package(name) for name in (*REQUIRED, *INDIRECT, *OPTIONAL)),
        hints=tuple(_hints()),
    )


def _package(name: str) -> Package:
    version = installed_version(name)
    if version is None:
        return _missing(name)
    clashes = [
        f"{who} asks for {range_}" for who, range_ in _demands(name) if not _fits(version, range_)
    ]
    if not clashes:
        return Package(name, version, "ok")
    ranges = ",".join(dict.fromkeys(range_ for _, range_ in _demands(name)))
    return Package(
        name,
        version,
        "clash",
        f"{name} {version} is installed, but {' and '.join(clashes)}. "
        f'Install a version that fits: pip install "{name}{ranges}"',
    )


def _missing(name: str) -> Package:
    if name in OPTIONAL:
        line = f'pip install "tfgreen[{OPTIONAL[name]}]"'
        return Package(name, None, "optional", f"{name} is not installed; it is optional: {line}")
    if name in INDIRECT:
        return Package(name, None, "optional", f"{name} is not installed; TensorFlow brings it.")
    ranges = ",".join(range_ for who, range_ in _demands(name) if who == "tfgreen")
    what = "" if name in _VERIFIES_ALONE else "; inspect and verify work without it"
    return Package(
        name,
        None,
        "missing",
        f'{name} is not installed{what}. Install it: pip install "{name}{ranges}"',
    )


def _demands(name: str) -> Iterator[tuple[str, str]]:
    """Who of the stack asks for which versions of a package."""
    for who in ("tfgreen", *REQUIRED, *OPTIONAL):
        for requirement in _requirements(who):
            if _canonical(requirement.name) == _canonical(name) and str(requirement.specifier):
                yield who, str(requirement.specifier)


def _requirements(distribution: str) -> Iterator[Any]:
    """The requirements of an installed package that hold here, extras left out."""
    try:
        from packaging.requirements import Requirement

        texts = importlib.metadata.requires(distribution) or []
    except (ImportError, importlib.metadata.PackageNotFoundError):
        return
    for requirement in map(Requirement, texts):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement


def _fits(version: str, range_: str) -> bool:
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(range_).contains(version, prereleases=True)


def _canonical(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _hints() -> Iterator[str]:
    if installed_version("packaging") is None:
        yield "packaging is not installed: the ranges of versions were not checked."
    if installed_version("tfgreen") is None:
        yield "tfgreen runs from a checkout that is not installed: its own ranges were not checked."
    legacy = os.environ.get("TF_USE_LEGACY_KERAS", "")
    if legacy not in ("", "0", "false", "False"):
        yield (
            f"TF_USE_LEGACY_KERAS={legacy} is set: tf.keras is Keras 2 (tf_keras) in every program "
            "started here. Unset it unless you mean that."
        )
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        yield f"KERAS_BACKEND={backend} is set; models are converted with TensorFlow all the same."
