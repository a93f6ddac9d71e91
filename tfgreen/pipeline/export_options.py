"""What an export may do beside its profile, and who is told how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfgreen.footprint.ledger import Ledger
from tfgreen.tflite import ConversionOptions

OnProgress = Callable[[str, int, int], None]

SAMPLES = 64


@dataclass(frozen=True)
class ExportOptions:
    """What an export may do beside the profile.

    against: the model whose answers the file is judged by, when it is not the exported one
        (the model before pruning, say): a path or an object.
    samples: how many samples the gates run, 64 by default; metrics use up to 2,000 of `evaluate`.
    encoding: how the weights are stored: "auto", "dense", or one of the profile's encodings.
    repair: make a file that misses its fidelity gate better, see `tfgreen.verification.repair`.
    ledger: what the stages before took, or the path of one; the bundle's begins with it.
    conversion: custom objects, safety, select ops, memory and time of the child.
    """

    against: Any = None
    samples: int = SAMPLES
    encoding: str = "auto"
    conversion: ConversionOptions = field(default_factory=ConversionOptions)
    repair: bool = False
    ledger: Ledger | str | Path | None = None
