"""The parent's handle of a child process: start it, talk to it, see it die, end it."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

import tfgreen
from tfgreen.errors import KernelSetError
from tfgreen.runtimes.refusals import one_line

_CHILD = "tfgreen.runtimes.child"
_OPTIONS = ("-P", "-W", "ignore")  # nothing from the working directory, no warnings
_START_SECONDS = 120.0


class ChildDiedError(Exception):
    """The child ended before it answered; the message says how."""


class ChildTimeoutError(Exception):
    """The child did not answer in time, and was killed."""


class ChildProcess:
    """One running `tfgreen.runtimes.child`. A context manager: leaving it kills the child.

    Args:
        kernel_set: What the child runs.
        threads: Threads of one inference.
        folder: Where its standard error is kept.

    Raises:
        KernelSetError: the child did not come up.
    """

    def __init__(self, kernel_set: str, threads: int, folder: Path) -> None:
        self._kernel_set = kernel_set
        self._stderr_path = folder / "stderr.txt"
        # Open for reading too: the micro runtime reads back what it printed.
        self._stderr: BinaryIO = self._stderr_path.open("w+b")
        self._printed_bytes = 0
        # A session of its own: Ctrl-C in the terminal reaches the parent, which ends the child.
        self._process = subprocess.Popen(
            [sys.executable, *_OPTIONS, "-m", _CHILD, kernel_set, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=environment_of_children(),
            text=True,
            encoding="ascii",
            start_new_session=True,
        )
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read_answers, daemon=True)
        self._reader.start()
        try:
            self._answer(_START_SECONDS)
        except (ChildDiedError, ChildTimeoutError) as error:
            self.close()
            raise KernelSetError(
                f"The {kernel_set} kernels could not be started: {error}"
            ) from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def ask(self, task: dict[str, Any], timeout_seconds: float) -> dict[str, Any]:
        """Send a task and wait for its answer.

        Raises:
            ChildDiedError: it died; how, and the last words on its standard error.
            ChildTimeoutError: it took longer than `timeout_seconds`.
        """
        self._printed_bytes = self._stderr_path.stat().st_size
        try:
            self._pipe.write(json.dumps(task) + "\n")
            self._pipe.flush()
        except OSError as error:
            raise ChildDiedError(self._last_words()) from error
        return self._answer(timeout_seconds)

    def close(self) -> None:
        """Kill the child if it lives, and wait for it."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            _close_quietly(stream)

    @property
    def _pipe(self) -> Any:
        return self._process.stdin

    def _answer(self, timeout_seconds: float) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=timeout_seconds)
        except queue.Empty:
            raise ChildTimeoutError(f"no answer within {timeout_seconds:g} seconds") from None
        if line is None:
            raise ChildDiedError(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _read_answers(self) -> None:
        stdout: Any = self._process.stdout
        for line in stdout:
            self._answers.put(line)
        self._answers.put(None)

    def _last_words(self) -> str:
        """How the process ended, and the last line that it printed about this task."""
        words = ending(self._process.wait())
        printed = self._stderr_path.read_bytes()[self._printed_bytes :]
        lines = printed.decode("utf-8", "replace").strip().splitlines()
        return f"{words}: {one_line(lines[-1])}" if lines else words


def ending(return_code: int) -> str:
    """A return code in words.

    >>> ending(-6), ending(3)
    ('SIGABRT (return code -6)', 'return code 3')
    """
    if return_code >= 0:
        return f"return code {return_code}"
    try:
        name = signal.Signals(-return_code).name
    except ValueError:
        name = f"signal {-return_code}"
    return f"{name} (return code {return_code})"


def environment_of_children() -> dict[str, str]:
    """This process's environment, with the folder of this very tfgreen, and one NumPy thread."""
    folder = Path(tfgreen.__file__).resolve().parents[1]
    inherited = os.environ.get("PYTHONPATH")
    found_anyway = folder.name in {"site-packages", "dist-packages"}
    path = [] if found_anyway else [str(folder)]
    path += [inherited] if inherited else []
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return {**environment, "PYTHONPATH": os.pathsep.join(path)} if path else environment


def _close_quietly(stream: Any) -> None:
    try:
        stream.close()
    except OSError:  # flushing what a dead child never read; it has been told of already
        return
