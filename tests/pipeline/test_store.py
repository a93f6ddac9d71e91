"""The cache: hashes that are checked, steps that are whole, folders that cannot be written."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tfgreen import writing
from tfgreen.errors import OutputError
from tfgreen.pipeline.occupied import occupied
from tfgreen.pipeline.store import ENTRY, Store, default_folder, key_of, open_store

FILES = {"model.keras": b"weights", "bundle/model.tflite": b"file"}


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, told: list[str]) -> Store:
    return Store(tmp_path / "cache", told.append)


def test_what_is_kept_is_found(store: Store) -> None:
    assert store.find("key") is None
    store.keep("key", FILES)
    assert store.find("key") == FILES
    assert store.path("key", "model.keras").read_bytes() == b"weights"
    store.keep("key", {"other": b""})
    assert store.find("key") == {"other": b""}


def test_a_finished_result_forgets_what_was_noted_of_it(store: Store) -> None:
    store.note_unfinished("key", {"variables": b"1"})
    store.note_unfinished("key", {"variables": b"2"})
    assert store.find_unfinished("key") == {"variables": b"2"}
    store.keep("key", FILES)
    assert store.find_unfinished("key") is None


@pytest.mark.parametrize("damage", ["other bytes", "missing", "no list", "list of another kind"])
def test_a_damaged_entry_is_told_and_gone(store: Store, told: list[str], damage: str) -> None:
    store.keep("key", FILES)
    target = store.path("key", "model.keras" if damage in ("other bytes", "missing") else ENTRY)
    if damage == "missing":
        target.unlink()
    else:
        target.write_bytes({"no list": b"{", "list of another kind": b"[]"}.get(damage, b"weightz"))
    assert store.find("key") is None
    assert len(told) == 1
    assert "damaged and is made again" in told[0]
    assert not store.path("key", "").exists()


def test_a_full_disk_leaves_what_was_there(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.keep("key", FILES)

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(writing, "_write", full)
    with pytest.raises(OutputError, match="No space left on device. Free some space"):
        store.keep("key", {"other": b""})
    with pytest.raises(OutputError, match="No space left"):
        store.note_unfinished("key", {"other": b""})
    assert store.find("key") == FILES
    assert [path.name for path in store.folder.iterdir()] == ["key"]


def test_keys_depend_on_everything_and_not_on_its_order() -> None:
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    assert len({key_of({"a": 1}), key_of({"a": 1.5}), key_of({"a": "1"}), key_of({"b": 1})}) == 4


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    with pytest.raises(OutputError, match="The cache cannot be used: .* is a file, not a folder"):
        open_store(blocked / "cache", tmp_path)
    told: list[str] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    store = open_store(None, tmp_path / "run", told.append)
    assert store.folder == tmp_path / "run"
    assert "Nothing is kept for the next run" in told[0]


def test_the_default_is_the_users_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "tfgreen" / "compress"
    assert open_store(None, tmp_path).folder == default_folder()


def test_one_run_at_a_time(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "out"
    with occupied(place):
        assert (place.parent / ".out.lock").read_text() == str(os.getpid())
        said = rf"process {os.getpid()}\) works on {place}"
        with pytest.raises(OutputError, match=said), occupied(place):
            pass
        with pytest.raises(OutputError, match="end it, or rest."), occupied(place, "rest"):
            pass
        with occupied(tmp_path / "deep" / "other"):
            pass
    assert list(place.parent.iterdir()) == []


HOLDER = """
import sys, time
from pathlib import Path
from tfgreen.pipeline.occupied import occupied
with occupied(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    place = tmp_path / "out"
    command = [sys.executable, "-c", HOLDER, str(place)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match=rf"process {holder.pid}\)"), occupied(place):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert (tmp_path / ".out.lock").exists()
    with occupied(place):
        assert (tmp_path / ".out.lock").read_text() == str(os.getpid())
