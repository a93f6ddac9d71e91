"""read_samples: every kind of source gives the same samples, and refuses what it cannot take."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tfgreen.data import Samples, read_samples
from tfgreen.errors import InvalidDataError, MissingPathError, UsageError
from tfgreen.signature import InputSpec

SPEC = InputSpec("mfcc", (3, 2), "float32")
X = np.arange(24, dtype="float32").reshape(4, 3, 2)
Y = np.array([0, 1, 1, 2])


class TensorLike:
    """What tensors of other frameworks have in common."""

    def __array__(self, dtype=None, copy=None):
        return X


def batches():
    return iter([(X[:3], Y[:3]), (X[3:], Y[3:])])


def npz(path: Path, **content) -> Path:
    np.savez(path, **content)
    return path


@pytest.mark.parametrize(
    "source",
    [
        (X, Y),
        {"x": X, "y": Y},
        {"mfcc": X, "y": Y},
        ({"mfcc": X}, Y),
        (TensorLike(), Y.tolist()),
        [(X[:1], Y[:1]), (X[1:], Y[1:])],
        [{"x": X, "y": Y}],
        batches,
        Samples({"x": X}, {"y": Y}),
        lambda: Samples({"x": X}, {"y": Y}),
    ],
    ids=["pair", "x", "named", "dict-pair", "tensor", "list", "dicts", "function", "ready", "made"],
)
def test_one_result_from_every_source(source):
    samples = read_samples(source, inputs=[SPEC], outputs=["digit"])
    assert samples.sha256() == Samples({"mfcc": X}, {"y": Y}).sha256()


def test_arrays_and_files(tmp_path):
    npz(tmp_path / "a.npz", mfcc=X, y=Y, labels=["a", "b", "ü"])
    np.save(tmp_path / "a.npy", X)
    samples = read_samples(tmp_path / "a.npz", inputs=[SPEC])
    assert samples.sha256() == read_samples((X, Y), inputs=[SPEC]).sha256()
    assert samples.label_names == ("a", "b", "ü")
    assert samples.source == str(tmp_path / "a.npz")
    unlabelled = read_samples(str(tmp_path / "a.npy"), inputs=[SPEC])
    assert unlabelled.sha256() == read_samples(X, inputs=[SPEC]).sha256()
    assert unlabelled.labels == {}


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text("abcdef_0123", min_size=1, max_size=8).filter(lambda name: name[0] != "_"),
        arrays.arrays("float32", (3, 2), elements=st.floats(-9, 9, width=32)),
        min_size=1,
        max_size=4,
    )
)
def test_npz_round_trip(tmp_path_factory, content):
    path = npz(tmp_path_factory.mktemp("npz") / "a.npz", **content)
    specs = [InputSpec(name, (2,), "float32") for name in reversed(content)]
    samples = read_samples(path, inputs=specs)
    assert samples.sha256() == Samples(content).sha256()


def test_without_a_model_everything_stays_as_it_is(tmp_path):
    path = npz(tmp_path / "a.npz", left=X.astype("float16"), right=Y, y_digit=Y, y=Y)
    samples = read_samples(path)
    assert set(samples.inputs) == {"left", "right"}
    assert samples.inputs["left"].dtype == "float16"
    assert set(samples.labels) == {"digit", "y"}


def test_several_labels(tmp_path):
    path = npz(tmp_path / "a.npz", x=X, y_digit=Y, y_ink=X[:, 0, 0])
    samples = read_samples(path, inputs=[SPEC], outputs=["digit", "ink"])
    assert set(samples.labels) == {"digit", "ink"}
    pair = read_samples((X, {"ink": X[:, 0, 0]}), inputs=[SPEC], outputs=["digit", "ink"])
    assert set(pair.labels) == {"ink"}
    with pytest.raises(InvalidDataError, match="unexpected key 'y_ink'"):
        read_samples(path, inputs=[SPEC], outputs=["digit"])
    with pytest.raises(InvalidDataError, match="labels 'ink', which is no output"):
        read_samples((X, {"ink": Y}), inputs=[SPEC], outputs=["digit"])
    with pytest.raises(InvalidDataError, match="y_digit, y_ink"):
        read_samples((X, Y), inputs=[SPEC], outputs=["digit", "ink"])


def test_an_input_may_be_called_y_or_labels(tmp_path):
    path = npz(tmp_path / "a.npz", y=X, labels=X)
    specs = [InputSpec("labels", (3, 2), "float32"), InputSpec("y", (3, 2), "float32")]
    assert set(read_samples(path, inputs=specs).inputs) == {"y", "labels"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({}, "holds no arrays. Expected: mfcc or x; for labels y"),
        ({"y": Y}, "holds no input .keys found: y."),
        ({"x": X, "weight": Y}, "unexpected key 'weight' .keys found: x, weight."),
        ({"image": X}, "unexpected key 'image'"),
        ({"x_train": X, "y_train": Y}, r"several sets: save .* x=data\['x_train'\]"),
        ({"x": X, "labels": Y}, "Class numbers belong in y"),
        ({"x": X, "y": ["a", "b", "c", "d"]}, "'y' in .* holds text"),
        ({"x": X, "y": Y[:2]}, "'x' has 4, 'y' has 2"),
        ({"x": X[:0]}, "holds no samples"),
        ({"x": X[0]}, r"x\[np.newaxis\]"),
        ({"x": np.array([X, None], dtype=object)}, "pickled Python objects"),
    ],
)
def test_wrong_archives(tmp_path, content, told):
    path = npz(tmp_path / "a.npz", **content)
    with pytest.raises(InvalidDataError, match=told):
        read_samples(path, inputs=[SPEC])


def test_a_pickled_npy_is_never_opened(tmp_path):
    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self):
            return Path.touch, (trap,)

    np.save(tmp_path / "a.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", x=np.array([Trap()], dtype=object), allow_pickle=True)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(InvalidDataError, match="pickled Python objects"):
            read_samples(tmp_path / name)
    assert not trap.exists()


def damaged_archives() -> dict[str, bytes]:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=np.random.default_rng(0).random((50, 40)))
    whole = buffer.getvalue()
    boast = io.BytesIO()
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999999,)}".ljust(117) + "\n"
    with zipfile.ZipFile(boast, "w") as archive:
        member = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
        archive.writestr("x.npy", member)
    return {
        "empty": b"",
        "text": b"x,y\n1,2\n",
        "truncated": whole[: len(whole) // 2],
        "flipped": whole[:200] + bytes(200) + whole[400:],
        "boast": boast.getvalue(),
    }


@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "flipped", "boast"])
@pytest.mark.parametrize("suffix", ["npz", "npy"])
def test_damaged_files(tmp_path, kind, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(damaged_archives()[kind])
    with pytest.raises(InvalidDataError, match=f"a.{suffix} ") as caught:
        read_samples(path)
    assert "\n" not in str(caught.value)


def test_sources_of_no_known_kind(tmp_path):
    with pytest.raises(MissingPathError, match="no data file"):
        read_samples(tmp_path / "nowhere.npz")
    (tmp_path / "a.csv").write_text("1,2", encoding="utf-8")
    with pytest.raises(InvalidDataError, match="suffix '.csv'"):
        read_samples(tmp_path / "a.csv")
    with pytest.raises(UsageError, match="data of type int"):
        read_samples(3)
    with pytest.raises(UsageError, match="limit=0"):
        read_samples(X, limit=0)


@pytest.mark.parametrize("source", [[[X, X]], [(X, Y, Y)], (X, X, X), ([X, X], Y)])
def test_inputs_are_never_told_by_order(source):
    with pytest.raises(InvalidDataError, match="never by order"):
        read_samples(source)


def test_limits():
    many = np.arange(100)
    assert read_samples((many, many), limit=3).labels["y"].tolist() == [0, 50, 99]
    stream = (many[row : row + 7] for row in range(0, 100, 7))
    limited = read_samples(stream, limit=10)
    assert limited.inputs["x"].tolist() == list(range(10))
    assert limited.source == "the generator (the first 10 samples at most)"


def test_batches_read_to_the_end_give_evenly_spaced_samples():
    stream = (np.arange(100)[row : row + 7] for row in range(0, 100, 7))
    whole = read_samples(stream, limit=3, to_the_end=True)
    assert whole.inputs["x"].tolist() == [0, 50, 99]
    assert whole.source == "the generator (3 of 100 samples, evenly spaced)"


def test_a_ragged_list_is_no_array():
    with pytest.raises(InvalidDataError, match="'x' in the pair .x, y. is list and no array"):
        read_samples(({"x": [[1, 2], [3]]}, Y))
