"""One child process that reports progress in a file and never outlives its caller."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tfgreen.runtimes.process import environment_of_children

_POLL_SECONDS = 0.05
_LOG = "log.txt"


class Child:
    """`python -m MODULE FOLDER`, its output in a log, its standard input a life line.

    The child's standard input is a pipe that this process holds: should this process be killed,
    the pipe closes and the child ends itself.
    """

    def __init__(self, module: str, folder: Path, progress: str) -> None:
        # -P: a file of the working directory called `keras.py` is not what the child imports.
        self._command = [sys.executable, "-P", "-m", module, str(folder)]
        self._folder = folder
        self._progress = folder / progress
        self._read_bytes = 0
        self.last_step: str | None = None

    def run(
        self, timeout_seconds: float, on_progress: Callable[[str, int, int], None] | None
    ) -> int | None:
        """The child's exit code; negative for a signal, None when time ran out."""
        deadline = time.monotonic() + timeout_seconds
        with (self._folder / _LOG).open("wb") as log:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(self._folder),
            )
            try:
                while (code := process.poll()) is None and time.monotonic() < deadline:
                    self._pass_on(on_progress)
                    time.sleep(_POLL_SECONDS)
                self._pass_on(on_progress)
                return code
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()
                if process.stdin is not None:
                    process.stdin.close()

    def last_words(self) -> str:
        """The last lines of what the child printed, in one line."""
        text = (self._folder / _LOG).read_text(encoding="utf-8", errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return " | ".join(lines[-3:])[:400] or "none"

    def _pass_on(self, on_progress: Callable[[str, int, int], None] | None) -> None:
        if not self._progress.exists():
            return
        with self._progress.open("rb") as stream:
            stream.seek(self._read_bytes)
            text = stream.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        for line in whole.splitlines():
            record = json.loads(line)
            self.last_step = record["step"]
            if on_progress is not None:
                on_progress(record["step"], record["done"], record["of"])


def _environment(folder: Path) -> dict[str, str]:
    """One thread for NumPy: sums in one order, whatever the machine, give the same bytes.

    Temporary files go into the folder of the exchange, and with it, also after a crash.
    """
    return {
        **environment_of_children(),
        **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder)),
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
