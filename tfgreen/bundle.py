"""Bundle: what an export returns, on disk and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfgreen.golden import Golden

if TYPE_CHECKING:
    from tfgreen.profile import ExportProfile
    from tfgreen.verification.certificate import Certificate


@dataclass(frozen=True)
class Bundle:
    """An exported file with the proof of what it computes.

    Attributes:
        content: the `.tflite` file.
        certificate: the verdict of the four gates on `content`.
        profile: what the target accepts and promises, as it was applied (overrides included).
        facts: how the file was made, ready for JSON: route, candidates, rewrites, options.
        golden: inputs and the answers of each deterministic kernel set.
        calibration_sha256: hash of the calibration samples; None when the profile needs none.
        calibration_source: where they came from, in words.
        evaluation_sha256, evaluation_source: the same of the evaluation samples.
        labels: class names in output order, when the data told them.
    """

    content: bytes
    certificate: Certificate
    profile: ExportProfile
    facts: Mapping[str, Any] = field(default_factory=dict)
    golden: Golden = field(default_factory=Golden)
    calibration_sha256: str | None = None
    calibration_source: str | None = None
    evaluation_sha256: str | None = None
    evaluation_source: str | None = None
    labels: tuple[str, ...] | None = None

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the bundle; see the module docstring."""
        raise NotImplementedError

    @classmethod
    def read(cls, folder: str | Path) -> Bundle:
        """Read a bundle folder back."""
        raise NotImplementedError


def check_output(path: str | Path, *, force: bool = False) -> None:
    """Raise now what `Bundle.save` would raise about `path` after a long export."""
