"""One run at a time on one place: a lock file with the number of the process that holds it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tfgreen.errors import OutputError
from tfgreen.writing import explained

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_LONGEST_NUMBER = 20


@contextlib.contextmanager
def occupied(place: Path, way_out: str = "choose another output") -> Iterator[None]:
    """Hold `place` as long as the block runs: `.<name>.lock` lies beside it.

    The system lets go of the lock when the process dies, so that a lock file that a killed run
    left behind is taken over. way_out: what the error proposes beside waiting.

    Raises:
        OutputError: another process holds it.
    """
    target = Path(os.path.realpath(place))
    lock = target.with_name(f".{target.name}.lock")
    with explained(place):
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = _held(lock, place, way_out)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


def _held(lock: Path, place: Path, way_out: str) -> int:
    """An open handle of the locked file, which is still the one of that name."""
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        if not _take(handle):
            number = os.read(handle, _LONGEST_NUMBER).decode(errors="replace").strip()
            os.close(handle)
            raise OutputError(
                f"Another run (process {number or 'unknown'}) works on {place}. Wait for it, end "
                f"it, or {way_out}."
            )
        # Whoever held it before may have removed the name after we opened the file.
        if lock.exists() and os.path.samestat(os.fstat(handle), lock.stat()):
            os.ftruncate(handle, 0)
            os.write(handle, str(os.getpid()).encode())
            return handle
        os.close(handle)


def _take(handle: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
