"""Bad input and bad disks, through the whole command: one sentence, nothing half-written."""

from __future__ import annotations

import errno
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.conftest import TrainedModel
from tests.tiny_models import int8_classifier
from tfgreen.cli.main import tfgreen_command


@pytest.fixture
def model(conv1d_model: TrainedModel) -> TrainedModel:
    return conv1d_model


def run(*arguments: object) -> Result:
    return CliRunner().invoke(tfgreen_command, [str(argument) for argument in arguments])


def assert_refused(done: Result, code: int, *words: str, output: Path | None = None) -> None:
    """One sentence on stderr behind the steps, no traceback, no output."""
    assert done.exit_code == code, done.stderr
    told = [line for line in done.stderr.splitlines() if line and not line.endswith(" ...")]
    assert told, "nothing was said"
    assert "Traceback" not in done.stderr
    assert "unexpected" not in done.stderr
    for word in words:
        assert word in done.stderr
    if output is not None:
        assert not output.exists()
        assert not [path for path in output.parent.iterdir() if path.name.startswith(".")]


def export(model: Path, calibration: Path, output: Path, *more: object) -> Result:
    return run("export", model, "--calibration", calibration, "-o", output, *more)


@pytest.mark.parametrize("verb", ["verify", "inspect"])
@pytest.mark.parametrize("damage", ["cut", "scrambled"])
def test_a_corrupted_tflite(verb: str, damage: str, tmp_path: Path) -> None:
    content = bytearray(int8_classifier())
    content = content[: len(content) // 3] if damage == "cut" else content
    if damage == "scrambled":
        content[8:64] = b"\xff" * 56
    path = tmp_path / "net.tflite"
    path.write_bytes(content)
    assert_refused(run(verb, path), 1, "Error:")


def test_a_truncated_keras_file(model: TrainedModel, tmp_path: Path) -> None:
    path = tmp_path / "cut.keras"
    path.write_bytes(model.path.read_bytes()[:5000])
    output = tmp_path / "out"
    assert_refused(export(path, model.calibration, output), 1, "cut.keras", output=output)


def test_a_text_file_named_h5(model: TrainedModel, tmp_path: Path) -> None:
    path = tmp_path / "notes.h5"
    path.write_text("not a model")
    output = tmp_path / "out"
    assert_refused(export(path, model.calibration, output), 1, "notes.h5", output=output)


def empty_npz(folder: Path, model: TrainedModel) -> Path:
    np.savez(folder / "c.npz")
    return folder / "c.npz"


def pickled_npy(folder: Path, model: TrainedModel) -> Path:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (open, (str(folder / "executed"), "w"))

    path = folder / "c.npy"
    with path.open("wb") as stream:
        header = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
        stream.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
        pickle.dump([Trap()], stream)
    return path


def nan_inputs(folder: Path, model: TrainedModel) -> Path:
    with np.load(model.calibration) as stored:
        name = next(key for key in stored.files if not key.startswith("y"))
        values = stored[name].copy()
    values[3, 5] = np.nan
    np.savez(folder / "c.npz", **{name: values})
    return folder / "c.npz"


def wrong_shape(folder: Path, model: TrainedModel) -> Path:
    np.save(folder / "c.npy", np.zeros((40, 7, 7), np.float32))
    return folder / "c.npy"


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (empty_npz, "c.npz"),
        (pickled_npy, "pickle"),
        (nan_inputs, "NaN"),
        (wrong_shape, "(40, 7, 7)"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_bad_calibration_data(
    make: Callable[[Path, TrainedModel], Path], word: str, model: TrainedModel, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    done = export(model.path, make(tmp_path, model), output)
    assert_refused(done, 1, word, output=output)
    assert not (tmp_path / "executed").exists()


def test_a_profile_with_an_unknown_key(model: TrainedModel, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(run("profiles", "mobile-int8").stdout + "\n[budget]\nfile_bytes = 1\n")
    output = tmp_path / "out"
    done = export(model.path, model.calibration, output, "--profile", path)
    assert_refused(done, 1, "budget", "budgets", output=output)


@pytest.mark.skipif("sys.platform == 'win32'", reason="no limit of address space there")
def test_a_memory_limit_that_is_too_small(model: TrainedModel, tmp_path: Path) -> None:
    output = tmp_path / "out"
    done = export(model.path, model.calibration, output, "--memory-limit", "1GB")
    assert_refused(done, 1, "more memory than the limit of 1,073,741,824 bytes", output=output)


def test_a_memory_limit_that_is_no_size(model: TrainedModel, tmp_path: Path) -> None:
    output = tmp_path / "out"
    done = export(model.path, model.calibration, output, "--memory-limit", "plenty")
    assert_refused(done, 2, "'plenty'", "'64KB'", output=output)


def test_an_output_below_a_regular_file(model: TrainedModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    done = export(model.path, model.calibration, tmp_path / "file" / "out")
    assert_refused(done, 1, "file")
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize(
    ("code", "name"),
    [(errno.ENOSPC, "bundle"), (errno.EROFS, "kws.tflite")],
    ids=["full", "read-only"],
)
def test_a_disk_that_refuses(
    code: int, name: str, model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fills up after the first file of the result was opened."""
    output = tmp_path / "out" / name
    output.parent.mkdir()
    fsync, calls = os.fsync, []

    def refuse(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 1:
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    done = export(model.path, model.calibration, output, "--samples", 4)
    assert calls
    assert_refused(done, 1, os.strerror(code), output=output)


@pytest.mark.parametrize("kind", ["h5", "saved-model"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_hostile_model_runs_nothing(kind: str, model: TrainedModel, tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    hostile = make_hostile(kind, tmp_path, trace)
    trace.unlink(missing_ok=True)
    output = tmp_path / "out"
    np.save(tmp_path / "c.npy", np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32))
    done = export(hostile, tmp_path / "c.npy", output)
    assert_refused(done, 1, "Lambda", "--allow-unsafe", output=output)
    assert not trace.exists()


def make_hostile(kind: str, folder: Path, trace: Path) -> Path:
    """A tf_keras model whose Lambda writes a file in TensorFlow's graph when it runs."""
    from tfgreen.models.keras2 import tf_keras

    def write(x: Any, target: str = str(trace)) -> Any:
        import tensorflow as tf

        with tf.control_dependencies([tf.io.write_file(target, "executed")]):
            return tf.identity(x)

    layers = tf_keras().layers
    network = tf_keras().Sequential([layers.Input((3,)), layers.Lambda(write), layers.Dense(2)])
    path = folder / ("hostile.h5" if kind == "h5" else "hostile")
    network.save(path)
    return path
