"""Fixtures of every room: small trained models, made once and shared by all xdist workers.

The environment is set before anything imports TensorFlow: no GPU, one thread per process (two
workers share two cores), no chatter.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

os.environ.update(
    CUDA_VISIBLE_DEVICES="",
    TF_CPP_MIN_LOG_LEVEL="3",
    OMP_NUM_THREADS="1",
    TF_NUM_INTRAOP_THREADS="1",
    TF_NUM_INTEROP_THREADS="1",
)

ROOT = Path(__file__).parents[1]
# A shell that starts a job in the background has it ignore Ctrl-C, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

TRAINER = ROOT / "tests" / "trained_models.py"


@dataclass(frozen=True)
class TrainedModel:
    """A .keras file with 200 calibration samples and 100 other, labelled ones (both .npz)."""

    path: Path
    calibration: Path
    evaluation: Path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold `path` as a lock; the system lets go of it when the process dies."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def trained_model(pytestconfig: pytest.Config) -> Callable[[str], TrainedModel]:
    """Make or find the trained model of a name (see tests/trained_models.py).

    They are kept in pytest's cache folder, under a key of all that decides how they come out, so
    that a second run trains nothing.
    """
    made_by = hashlib.sha256(TRAINER.read_bytes())
    made_by.update(f"{version('keras')} {version('tensorflow')}".encode())
    folder = pytestconfig.cache.mkdir(f"trained-models-{made_by.hexdigest()[:12]}")

    def make(name: str) -> TrainedModel:
        path = folder / f"{name}.keras"
        with _locked(folder / f"{name}.lock"):
            if not path.exists():
                command = [sys.executable, "-m", "tests.trained_models", name, str(folder)]
                subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
        return TrainedModel(
            path, folder / f"{name}-calibration.npz", folder / f"{name}-evaluation.npz"
        )

    return make


@pytest.fixture(scope="session")
def keyword_model(trained_model: Callable[[str], TrainedModel]) -> TrainedModel:
    """A DS-CNN of depthwise-separable convolutions with BatchNormalization, 12 classes."""
    return trained_model("keyword")


@pytest.fixture(scope="session")
def residual_model(trained_model: Callable[[str], TrainedModel]) -> TrainedModel:
    """ResNet-8 with residual additions on 32 x 32 x 3 images, 10 classes."""
    return trained_model("residual")


@pytest.fixture(scope="session")
def autoencoder_model(trained_model: Callable[[str], TrainedModel]) -> TrainedModel:
    """A fully connected autoencoder, 490 values in and out."""
    return trained_model("autoencoder")


@pytest.fixture(scope="session")
def attention_model(trained_model: Callable[[str], TrainedModel]) -> TrainedModel:
    """A transformer of two blocks on the rows of 8 x 8 digits, 10 classes."""
    return trained_model("attention")


@pytest.fixture(scope="session")
def conv1d_model(trained_model: Callable[[str], TrainedModel]) -> TrainedModel:
    """Conv1D and MaxPooling1D on 49 x 10 sequences, 12 classes."""
    return trained_model("conv1d")


@pytest.fixture(scope="session")
def two_branch_model(trained_model: Callable[[str], TrainedModel]) -> TrainedModel:
    """Inputs `zeta` and `alpha` of one shape, outputs `digit` and `ink`."""
    return trained_model("two-branch")
