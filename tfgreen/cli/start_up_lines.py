"""TensorFlow's start-up lines on stderr, left out of a verb's output.

Its native code tells of CPUs and of GPUs that are not there. `TF_CPP_MIN_LOG_LEVEL` silences that,
as in the converter's child process, but for some lines that are written while the libraries are
loaded, before anything reads the variable. Those pass through a small process that drops
information and warnings of native code, and lets everything else through: also the last words of
an import that ends this process.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

LEVEL, QUIET, EVERYTHING = "TF_CPP_MIN_LOG_LEVEL", "3", "0"
_STDERR = 2
_END_SECONDS = 5

FILTER = r"""
import re, sys
lines = re.compile(
    rb"[IW]\d{4} [\d:.]+\s+\d+ |WARNING: All log messages before absl"
    rb"|To enable the following instructions|E\d{4} .*Unable to register cu"
)
for line in sys.stdin.buffer:
    if not lines.match(line):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
"""


@contextlib.contextmanager
def without_start_up_lines() -> Iterator[None]:
    """TensorFlow, if it is imported inside, says nothing about the machine.

    Who sets TF_CPP_MIN_LOG_LEVEL to 0 gets everything. The variable and the importing of modules
    are as before afterwards.
    """
    before = os.environ.get(LEVEL)
    if before == EVERYTHING:
        yield
        return
    os.environ.setdefault(LEVEL, QUIET)
    finder = _QuietTensorFlow()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        finder.leave()
        if before is None:
            os.environ.pop(LEVEL, None)


class _QuietTensorFlow(importlib.abc.MetaPathFinder):
    """Sees the first import of TensorFlow, and none after it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The usual spec, whose loader loads with stderr filtered."""
        if fullname != "tensorflow":
            return None
        self.leave()
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Quietly(spec.loader)
        return spec

    def leave(self) -> None:
        """Let imports be as they were."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)


class _Quietly(importlib.abc.Loader):
    """A loader whose module is executed with stderr filtered."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the loader itself does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module; afterwards it has the loader that it would have had."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        with filtered_stderr():
            self._loader.exec_module(module)


@contextlib.contextmanager
def filtered_stderr() -> Iterator[None]:
    """What native code of this process writes to stderr goes through FILTER."""
    try:
        kept = os.dup(_STDERR)
    except OSError:  # a program without stderr
        yield
        return
    reading, writing = os.pipe()
    # In a session of its own, so that Ctrl-C does not end it before the last line.
    command = [sys.executable, "-I", "-S", "-c", FILTER]
    process = subprocess.Popen(command, stdin=reading, start_new_session=True)
    os.close(reading)
    os.dup2(writing, _STDERR)
    os.close(writing)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, _STDERR)
        os.close(kept)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)  # longer, if a child of this process holds the pipe
