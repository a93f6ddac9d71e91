"""Batches from tf.data, generators and functions: joined, bounded, and never a traceback."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest

from tfgreen.data import read_samples, streams
from tfgreen.errors import InvalidDataError, UnknownNameError, UsageError
from tfgreen.signature import InputSpec

SPEC = InputSpec("v", (2,), "float32")
X = np.arange(20, dtype="float32").reshape(10, 2)
Y = np.arange(10)


def test_tf_data():
    tf = pytest.importorskip("tensorflow")
    dataset = tf.data.Dataset.from_tensor_slices((X, Y))
    samples = read_samples(dataset.batch(4), inputs=[SPEC])
    assert (samples.inputs["v"] == X).all()
    assert (samples.labels["y"] == Y).all()
    named = tf.data.Dataset.from_tensor_slices({"v": X, "w": X}).batch(3)
    assert set(read_samples(named, limit=5).inputs) == {"v", "w"}
    with pytest.raises(InvalidDataError, match="endless dataset"):
        read_samples(dataset.batch(4).repeat())
    assert len(read_samples(dataset.batch(4).repeat(), limit=25)) == 25
    with pytest.raises(InvalidDataError, match=r"dataset.batch\(32\)"):
        read_samples(dataset)
    with pytest.raises(InvalidDataError, match="holds dtype object|holds text"):
        read_samples(tf.data.Dataset.from_tensor_slices(["a", "b"]).batch(2))


def test_unbatched_samples_get_a_hint():
    image = InputSpec("image", (2, 2, 1), "float32")
    with pytest.raises(InvalidDataError, match="batch them first"):
        read_samples(iter(np.zeros((10, 2, 2, 1), "float32")), inputs=[image])


def test_something_with_a_length_and_an_index():
    class Sequence:
        def __len__(self):
            return 3

        def __getitem__(self, row):
            return X[row : row + 1], Y[row : row + 1]

    assert read_samples(Sequence(), inputs=[SPEC]).labels["y"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("batches", "told"),
    [
        ([], "gave no batch"),
        ([X, (X, Y)], "one gives input 'x', a later one input 'x', label 'y'"),
        ([X, X[:, :1]], r"shape of 'x': \(2,\), then \(1,\)"),
        ([(X, Y[:3])], "'x' has 10, 'y' has 3"),
        ([1.0, 2.0], "single values"),
    ],
)
def test_wrong_batches(batches, told):
    with pytest.raises(InvalidDataError, match=told):
        read_samples(batches)


def test_a_generator_without_end(monkeypatch):
    monkeypatch.setattr(streams, "MOST_SAMPLES", 25)
    with pytest.raises(InvalidDataError, match=r"more than 30 samples \(240 bytes\)"):
        read_samples(itertools.repeat(X))
    monkeypatch.setattr(streams, "MOST_BYTES", 100)
    with pytest.raises(InvalidDataError, match=r"more than 20 samples \(160 bytes\)"):
        read_samples(itertools.repeat(X))
    assert len(read_samples(itertools.repeat(X), limit=12)) == 12


def test_a_generator_that_fills_one_buffer():
    def counting():
        buffer = np.zeros((1, 2), "float32")
        for _ in range(3):
            buffer += 1
            yield buffer

    assert read_samples(counting).inputs["x"][:, 0].tolist() == [1, 2, 3]


def test_a_failing_generator():
    def failing():
        yield X
        raise ZeroDivisionError("division by zero\nand more")

    with pytest.raises(InvalidDataError, match="failing failed with ZeroDivisionError: division"):
        read_samples(failing)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A working folder with a module of the user's own."""
    (tmp_path / "calib_data.py").write_text(
        "import numpy as np\n"
        "VERSION = 3\n"
        "def samples():\n    yield {'v': np.ones((4, 2), 'float32')}\n"
        "def failing():\n    raise RuntimeError('no such microphone')\n"
        "def nested():\n    return samples\n"
        "def nothing():\n    return None\n",
        encoding="utf-8",
    )
    (tmp_path / "broken_data.py").write_text("raise SystemExit(3)", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in ("calib_data", "broken_data"):
        sys.modules.pop(name, None)


def test_module_function(project):
    path = list(sys.path)
    samples = read_samples("calib_data:samples", inputs=[SPEC])
    assert len(samples) == 4
    assert samples.source == "calib_data:samples"
    assert sys.path == path


@pytest.mark.parametrize(
    ("spec", "error", "told"),
    [
        ("calib_data:sample", UnknownNameError, "Did you mean 'samples'"),
        ("calib_data:VERSION", UnknownNameError, "Unknown function of module calib_data"),
        ("calib_date:samples", UsageError, "cannot be imported: No module"),
        ("broken_data:samples", UsageError, "fails when it is imported: SystemExit: 3"),
        ("calib_data:failing", InvalidDataError, "RuntimeError: no such microphone"),
        ("calib_data:nested", InvalidDataError, "returned a function"),
        ("calib_data:nothing", UsageError, "data of type NoneType"),
    ],
)
def test_wrong_functions(project, spec, error, told):
    with pytest.raises(error, match=told):
        read_samples(spec)


def test_a_file_of_that_name_wins(project):
    np.save(project / "calib_data:samples.npy", X)
    assert len(read_samples("calib_data:samples.npy")) == 10
