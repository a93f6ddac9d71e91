"""Float .tflite files of the trained models, converted once a test run for all workers."""

from __future__ import annotations

import fcntl
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import TrainedModel
from tfgreen.tflite import convert_float


@dataclass(frozen=True)
class FloatFile:
    """A float file with the arrays of the model's samples, by input name (and "y")."""

    path: Path
    calibration: dict[str, np.ndarray]
    evaluation: dict[str, np.ndarray]

    @property
    def content(self) -> bytes:
        return self.path.read_bytes()


def float_file(model: TrainedModel, factory: pytest.TempPathFactory) -> FloatFile:
    """Convert the model unless another worker has done it in this run."""
    folder = factory.getbasetemp()
    shared = folder.parent if folder.name.startswith("popen-gw") else folder
    path = shared / f"{model.path.stem}.tflite"
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            path.write_bytes(convert_float(model.path).content)
    return FloatFile(path, _arrays(model.calibration), _arrays(model.evaluation))


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as archive:
        return dict(archive)
