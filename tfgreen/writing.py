"""Writing results so that a kill at any moment leaves the old ones, or none if there were none.

Everything is built under hidden names beside its place (`.<name>.<random>.partial`), flushed to
the disk, and only then renamed. Where the system can exchange two folders in one step (Linux),
replacing is one step too. Elsewhere the old folder is renamed to `.<name>.<random>.aside` for a
moment, and `recover` puts it back if the process died in that moment.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tfgreen.errors import OutputError, OutputExistsError

try:
    import fcntl
except ImportError:  # Windows: leftovers of killed processes stay until someone deletes them
    fcntl = None  # type: ignore[assignment]

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_CANNOT_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)
_REMEDIES = {
    errno.ENOSPC: "Free some space or choose another path.",
    errno.EDQUOT: "Free some space or choose another path.",
    errno.EROFS: "Choose a path on a writable file system.",
    errno.EACCES: "Choose a path that you may write to.",
    errno.EPERM: "Choose a path that you may write to.",
    errno.ENOTDIR: "Choose a path below a folder.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
}


def write_folder(folder: Path, files: Mapping[str, bytes], *, force: bool = False) -> None:
    """Write a folder of `files` (path inside it, with forward slashes → content) in one step.

    With `force` an existing folder is replaced as a whole. Raises OutputExistsError without it,
    and OutputError when the disk refuses; in both cases what was there is there still.
    """
    with explained(folder):
        target = _resolved(folder)
        recover(target)
        with _parents(target), _partial(target) as partial:
            for name, content in files.items():
                _write(partial / name, content)
            _flush_folders(partial)
            refuse_existing(folder, force=force)
            _put(partial, target)


def write_files(files: Mapping[Path, bytes], *, force: bool = False) -> None:
    """Write files of one folder together: all of them, or none.

    They appear in the order given, so the last one is the one whose presence should mean that
    all are there. Raises OutputExistsError and OutputError as `write_folder` does.
    """
    *_, last = files
    with explained(last):
        targets = {_resolved(path): content for path, content in files.items()}
        recover(_resolved(last))
        with _parents(_resolved(last)), _partial(_resolved(last)) as partial:
            staged = {target: partial / str(index) for index, target in enumerate(targets)}
            for target, content in targets.items():
                _write(staged[target], content)
            for path in files:
                refuse_existing(path, force=force)
            _replace_all(staged, partial)


def refuse_existing(path: Path, *, force: bool) -> None:
    """Raise OutputExistsError if there is something at `path` and `force` is not set."""
    if not force and os.path.lexists(path):
        raise OutputExistsError(
            f"{path} exists already. Choose another path, or overwrite it with --force "
            "(force=True)."
        )


def check_writable(path: Path) -> None:
    """Raise OutputError now if nothing could be created at `path`; creates nothing itself."""
    with explained(path):
        parent = next(p for p in _resolved(path).parents if os.path.lexists(p))
    if not parent.is_dir():
        raise OutputError(
            f"Could not write {path}: {parent} is a file, not a folder. "
            "Choose a path below a folder."
        )
    if not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(
            f"Could not write {path}: the folder {parent} may not be written to. "
            "Choose another path."
        )


def recover(folder: Path) -> None:
    """Put back a folder that a killed process had set aside, and sweep what it left over."""
    for aside in sorted(folder.parent.glob(f".{_escaped(folder.name)}.*.aside")):
        if folder.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.rename(folder)
    for partial in folder.parent.glob(f".{_escaped(folder.name)}.*.partial"):
        with contextlib.suppress(FileNotFoundError), _lock(partial) as abandoned:
            if abandoned:
                shutil.rmtree(partial, ignore_errors=True)


def exchange(one: Path, other: Path) -> bool:
    """Swap two paths in one step; False (and nothing done) where the system cannot."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    renameat2 = getattr(libc, "renameat2", None)
    if renameat2 is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    if renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _CANNOT_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(other))


def _put(partial: Path, target: Path) -> None:
    """Move the finished folder to its place; an old one goes away afterwards."""
    if not target.exists():
        partial.rename(target)
    elif exchange(partial, target):
        shutil.rmtree(partial, ignore_errors=True)
    else:
        aside = _hidden(target, "aside")
        target.rename(aside)
        try:
            partial.rename(target)
        except BaseException:
            aside.rename(target)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    _flush_finished(target.parent)


def _replace_all(staged: Mapping[Path, Path], partial: Path) -> None:
    """Rename each staged file to its target; when one fails, undo those before it."""
    kept = {target: partial / f"{path.name}.kept" for target, path in staged.items()}
    for target in [target for target in staged if target.exists()]:
        _write(kept[target], target.read_bytes())
    done: list[Path] = []
    try:
        for target, path in staged.items():
            path.replace(target)
            done.append(target)
    except BaseException:
        for target in done:
            if kept[target].exists():
                kept[target].replace(target)
            else:
                target.unlink()
        raise
    _flush_finished(partial.parent)


@contextlib.contextmanager
def _partial(target: Path) -> Iterator[Path]:
    """A new hidden folder beside `target`, gone at the end whatever happens."""
    partial = _hidden(target, "partial")
    partial.mkdir()
    try:
        with _lock(partial):
            yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def _parents(target: Path) -> Iterator[None]:
    """The folders above `target`; those made here go again if the writing fails."""
    missing = [parent for parent in target.parents if not parent.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for parent in missing:
            with contextlib.suppress(OSError):  # not empty: someone else uses it by now
                parent.rmdir()
        raise


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    """Hold `folder` as long as this process lives; True if nobody else held it."""
    if fcntl is None:
        yield False
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held = True
    except OSError:  # held by a living process, or a file system without locks
        held = False
    try:
        yield held
    finally:
        os.close(handle)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what the system refuses to do with `path` into one OutputError."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = _REMEDIES.get(error.errno or 0, "Choose another path.")
        raise OutputError(f"Could not write {path}: {reason}. {remedy}") from error


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _flush_folders(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_dir():
            _flush(path)
    _flush(folder)


def _flush(folder: Path) -> None:
    """Make the names in `folder` durable; Windows has no such call."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_finished(folder: Path) -> None:
    """The last flush: the result stands already, so a system that refuses undoes nothing."""
    with contextlib.suppress(OSError):
        _flush(folder)


def _resolved(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _hidden(target: Path, ending: str) -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.{ending}")


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
