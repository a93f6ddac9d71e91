"""Progress of long work: a moving line where people look, plain lines where logs are kept."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator

OnProgress = Callable[[str, int, int], None]

_LOGGER = logging.getLogger(__name__)


@contextlib.contextmanager
def progress(*, quiet: bool) -> Iterator[OnProgress]:
    """A function to be called with (step, done, of); `of` is 0 where nobody knows.

    The logger is told each step, too, also when quiet.
    """
    if quiet:
        yield _Logged(lambda step, done, of: None)
    elif sys.stderr.isatty():
        with _moving() as tell:
            yield _Logged(tell)
    else:
        yield _Logged(_Lines())


@contextlib.contextmanager
def live_progress() -> Iterator[OnProgress]:
    """The same for callers from Python: shown on a terminal and in notebooks, silent elsewhere."""
    if "ipykernel" in sys.modules:
        line = _OneLine()
        try:
            yield _Logged(line)
        finally:
            line.clear()
    else:
        with progress(quiet=not sys.stderr.isatty()) as tell:
            yield tell


class _Logged:
    """Tell the logger each step once, and hand everything on."""

    def __init__(self, shown: OnProgress) -> None:
        self._shown = shown
        self._last = ""

    def __call__(self, step: str, done: int, of: int) -> None:
        if step != self._last:
            _LOGGER.debug("%s", step)
            self._last = step
        self._shown(step, done, of)


class _OneLine:
    """A line of a notebook's output that each step writes over."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, step: str, done: int, of: int) -> None:
        if step != self._last:
            self.clear()
            print(f"{step} ...", end="", flush=True)
            self._last = step

    def clear(self) -> None:
        """Leave nothing of the line behind."""
        print("\r" + " " * (len(self._last) + 4) + "\r", end="", flush=True)


class _Lines:
    """Print each step once."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, step: str, done: int, of: int) -> None:
        if step != self._last:
            print(f"{step} ...", file=sys.stderr, flush=True)
            self._last = step


@contextlib.contextmanager
def _moving() -> Iterator[OnProgress]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("starting", total=None)

        def tell(step: str, done: int, of: int) -> None:
            shown.update(task, description=step, completed=done, total=of or None)

        yield tell
