"""`Store`: results of earlier runs, each under a hash of all that it depends on.

An entry is a folder that is written in one step, with the hash of every file in it. One that does
not match its hashes is thrown away, told, and made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tfgreen import writing
from tfgreen.errors import OutputError

ENTRY = "entry.json"
_UNFINISHED = ".unfinished"


def key_of(facts: Mapping[str, Any]) -> str:
    """The hash of what a result depends on, 64 hexadecimal digits.

    facts: plain values, ready for JSON.
    """
    text = json.dumps(facts, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def default_folder() -> Path:
    """The user's cache folder for tfgreen, by the habits of the system."""
    if sys.platform == "darwin":
        place = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        place = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return place / "tfgreen" / "compress"


class Store:
    """Results on disk.

    Args:
        folder: made when something is kept.
        tell: called with a sentence when an entry is damaged.
        is_read_only: leave damaged entries where they are; nothing can be kept.

    Attributes:
        damaged: the keys of entries that were found damaged.
    """

    def __init__(
        self,
        folder: Path,
        tell: Callable[[str], None] = lambda text: None,
        *,
        is_read_only: bool = False,
    ) -> None:
        self.folder, self._tell, self._is_read_only = folder, tell, is_read_only
        self.damaged: set[str] = set()

    def check(self) -> None:
        """Raise OutputError now if nothing can be kept."""
        writing.check_writable(self.folder / "entry")

    def find(self, key: str) -> dict[str, bytes] | None:
        """The files of an entry; None where there is no sound one."""
        return self._read(key)

    def keep(self, key: str, files: Mapping[str, bytes]) -> None:
        """Keep files under a key in one step. Raises OutputError when the disk refuses."""
        self._write(key, files)
        self.forget_unfinished(key)

    def find_unfinished(self, key: str) -> dict[str, bytes] | None:
        """What was last noted of a result that is being made."""
        return self._read(key + _UNFINISHED)

    def note_unfinished(self, key: str, files: Mapping[str, bytes]) -> None:
        """Note how far a result is, in the place of what was noted before."""
        self._write(key + _UNFINISHED, files)

    def forget_unfinished(self, key: str) -> None:
        """The result is there, or will not be made."""
        shutil.rmtree(self.folder / (key + _UNFINISHED), ignore_errors=True)

    def throw_away(self, key: str, reason: object) -> None:
        """Tell that an entry is damaged, and have it made again."""
        line = " ".join(str(reason).split())[:200]
        self._tell(f"A cached result is damaged and is made again: {key[:12]} ({line}).")
        self.damaged.add(key)
        if not self._is_read_only:
            shutil.rmtree(self.folder / key, ignore_errors=True)

    def path(self, key: str, name: str) -> Path:
        """Where a file of an entry lies."""
        return self.folder / key / name

    def _write(self, name: str, files: Mapping[str, bytes]) -> None:
        hashes = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
        listed = {**files, ENTRY: json.dumps(hashes, indent=2).encode()}
        writing.write_folder(self.folder / name, listed, force=True)

    def _read(self, name: str) -> dict[str, bytes] | None:
        folder = self.folder / name
        with writing.explained(folder):
            if folder.parent.is_dir() and not self._is_read_only:
                writing.recover(folder)
        if not folder.exists():
            return None
        try:
            return _checked(folder)
        except (OSError, ValueError) as error:
            self.throw_away(name, error)
            return None


def _checked(folder: Path) -> dict[str, bytes]:
    hashes = json.loads((folder / ENTRY).read_bytes())
    if not isinstance(hashes, dict):
        raise ValueError(f"{ENTRY} lists no files")
    files = {}
    for name, digest in hashes.items():
        content = (folder / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError(f"{name} is not the file that was kept")
        files[name] = content
    return files


def open_store(
    cache: str | Path | None,
    fallback: Path,
    tell: Callable[[str], None] = lambda text: None,
    *,
    is_read_only: bool = False,
) -> Store:
    """The store to work with.

    cache: a folder; None for the default one, and `fallback` (gone after the run) where that
        cannot be written, which is told. is_read_only: as of `Store`.

    Raises:
        OutputError: nothing can be written to a folder that was asked for.
    """
    folder = Path(cache) if cache is not None else default_folder()
    store = Store(folder, tell, is_read_only=is_read_only)
    try:
        store.check()
    except OutputError as error:
        if cache is not None:
            raise OutputError(
                f"The cache cannot be used: {error} Name another folder with --cache (cache=...)."
            ) from error
        tell(f"Nothing is kept for the next run: {error}")
        return Store(fallback, tell, is_read_only=is_read_only)
    return store
