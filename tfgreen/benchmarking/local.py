"""The runner as a child process of this one."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from tfgreen.benchmarking import runner
from tfgreen.errors import KernelSetError, MissingDependencyError
from tfgreen.runtimes.process import environment_of_children

OnProgress = Callable[[str, int, int], None]
ORDER = "order.json"
_LINES_KEPT = 20
_FLAGS = ("-P", "-W", "ignore")  # no file of the folder stands in for a package


def run_here(folder: Path, on_progress: OnProgress) -> dict[str, Any]:
    """Carry out the order in a folder with this Python.

    Raises:
        MissingDependencyError: ai-edge-litert is not installed.
        KernelSetError: the runner died.
    """
    command = [sys.executable, *_FLAGS, runner.__file__, ORDER]
    ended = converse(command, b"", on_progress, folder=folder, env=environment_of_children())
    if ended.answer is None:
        raise KernelSetError(
            f"The benchmark's process ended with {ended.code} and gave no answer ({ended.words})."
        )
    if ended.answer.get("error") == runner.NO_LITERT:
        raise MissingDependencyError(
            f"Timing files needs ai-edge-litert, which cannot be loaded here "
            f"({ended.answer['message']}). Install it: pip install ai-edge-litert"
        )
    return ended.answer


class Ended:
    """How a conversation ended: the runner's answer, if any, the return code, the last words."""

    def __init__(self, answer: dict[str, Any] | None, code: int, lines: Sequence[str]) -> None:
        self.answer, self.code = answer, code
        self.lines = tuple(lines)

    @property
    def words(self) -> str:
        """The last lines that were no progress, in one."""
        return " | ".join(self.lines[-3:])[:400].rstrip(".") or "nothing was said"


def converse(
    command: Sequence[str],
    payload: bytes,
    on_progress: OnProgress,
    *,
    folder: Path | None = None,
    env: dict[str, str] | None = None,
) -> Ended:
    """Start a command, feed it, pass its progress on and wait for the answer.

    However this call ends (Ctrl-C, an error), the process is ended too.
    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threads = [
        threading.Thread(target=_feed, args=(process.stdin, payload), daemon=True),
        threading.Thread(target=_read, args=(process.stdout, lines), daemon=True),
        threading.Thread(target=_read, args=(process.stderr, lines), daemon=True),
    ]
    answer: dict[str, Any] | None = None
    said: list[str] = []
    open_pipes = 2
    try:
        for thread in threads:
            thread.start()
        while open_pipes:
            line = lines.get()
            if line is None:
                open_pipes -= 1
            elif (told := _told(line, runner.RESULT, dict)) is not None:
                answer = told
            elif (step := _told(line, runner.PROGRESS, list)) is not None and len(step) == 3:
                on_progress(*step)
            elif line.strip():
                said = [*said, line.strip()][-_LINES_KEPT:]
        return Ended(answer, process.wait(), said)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for thread in threads:
            thread.join()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _told(line: str, mark: str, expected: type) -> Any:
    """The JSON behind a mark; None for every other line."""
    if not line.startswith(mark):
        return None
    try:
        found = json.loads(line[len(mark) :])
    except ValueError:
        return None
    return found if isinstance(found, expected) else None


def _feed(stream: IO[bytes] | None, payload: bytes) -> None:
    """Write it all; where the process ended before it had read it, its own words tell why."""
    if stream is None:
        return
    with contextlib.suppress(OSError):
        stream.write(payload)
    with contextlib.suppress(OSError):  # closing flushes what is left, which nobody reads
        stream.close()


def _read(stream: IO[bytes] | None, lines: queue.SimpleQueue[str | None]) -> None:
    for line in stream or ():
        lines.put(line.decode("utf-8", "replace"))
    lines.put(None)
