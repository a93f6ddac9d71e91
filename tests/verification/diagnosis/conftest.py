"""Three trained models as float and int8 files, converted once a test run for all workers."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import TrainedModel
from tfgreen.data import Samples
from tfgreen.inspection.normalizations import batch_normalizations
from tfgreen.profile import load_profile
from tfgreen.tflite import convert
from tfgreen.verification.diagnosis.examination import Case, examine
from tfgreen.verification.diagnosis.normalization import Normalization
from tfgreen.verification.diagnosis.record import Diagnosis

SAMPLES = 32


@dataclass(frozen=True)
class Patient:
    """A trained model with a sound int8 file."""

    float_content: bytes
    content: bytes
    samples: Samples
    normalizations: tuple[Normalization, ...]

    def diagnose(
        self,
        content: bytes | None = None,
        *,
        samples: Samples | None = None,
        labels: bool = False,
        kernel_sets: tuple[str, ...] = (),
        calibration: Samples | None = None,
    ) -> Diagnosis:
        given = samples or self.samples
        case = Case(
            float_content=self.float_content,
            content=self.content if content is None else content,
            samples=given if labels else Samples(given.inputs),
            sample_limit=SAMPLES,
            normalizations=self.normalizations,
            kernel_sets=kernel_sets,
            calibration=calibration,
        )
        return examine(case)


def _patient(model: TrainedModel, folder: Path) -> Patient:
    name = model.path.stem
    files = [folder / f"{name}.float.tflite", folder / f"{name}.int8.tflite"]
    with (folder / f"{name}.diagnosis.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not files[1].exists():
            with np.load(model.calibration) as archive:
                made = convert(model.path, load_profile("mobile-int8"), dict(archive))
            for file, content in zip(files, (made.float_content, made.content), strict=True):
                file.write_bytes(content)
    with np.load(model.evaluation) as archive:
        inputs = {key: values for key, values in archive.items() if key != "y"}
        samples = Samples(inputs, {"y": archive["y"]})
    contents = [file.read_bytes() for file in files]
    return Patient(contents[0], contents[1], samples, batch_normalizations(model.path))


@pytest.fixture(scope="session")
def patient(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Patient]:
    """The patient of a kind: "keyword", "residual" or "attention"."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if base.name.startswith("popen-gw") else base
    made: dict[str, Patient] = {}

    def find(kind: str) -> Patient:
        if kind not in made:
            made[kind] = _patient(request.getfixturevalue(f"{kind}_model"), folder)
        return made[kind]

    return find
