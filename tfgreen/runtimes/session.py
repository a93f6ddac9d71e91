"""`run_tasks`: many tasks on one kernel set, in a child process that may die."""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfgreen.errors import KernelSetError, UsageError
from tfgreen.runtimes.availability import require
from tfgreen.runtimes.process import ChildDiedError, ChildProcess, ChildTimeoutError
from tfgreen.runtimes.protocol import Outcome, Task, output_key
from tfgreen.runtimes.records import Layout

_LOGGER = logging.getLogger(__name__)


def run_tasks(
    kernel_set: str,
    tasks: Sequence[Task],
    *,
    timeout_seconds: float = 300,
    threads: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Outcome]:
    """Run every task on one kernel set, one after the other, in one child process.

    A task that kills the child ("crashed") or takes too long ("timed-out") costs only itself: a
    new child goes on with the next. No child outlives the call, however it ends.

    Args:
        kernel_set: One of `KERNEL_SETS`.
        tasks: What to run. An array that is used by several tasks is written to disk once.
        timeout_seconds: Limit for each task, loading and all its samples together.
        threads: Threads of one inference; results may depend on it only on xnnpack.
        on_progress: Called after each task with the number done and the number of all.

    Returns:
        One outcome for each task, in their order.

    Raises:
        UnknownNameError: no kernel set has that name.
        MissingDependencyError: its package is not installed.
        KernelSetError: the child cannot be started, or files cannot be written.
    """
    require(kernel_set)
    if timeout_seconds <= 0 or threads < 1:
        raise UsageError(
            f"Received timeout_seconds={timeout_seconds}, threads={threads}; expected a positive "
            "number of seconds and at least one thread."
        )
    outcomes: list[Outcome] = []
    with _Session(kernel_set, tasks, timeout_seconds, threads) as session:
        for done, task in enumerate(tasks, start=1):
            outcomes.append(session.run(task))
            if on_progress is not None:
                on_progress(done, len(tasks))
    seconds = sum(outcome.seconds for outcome in outcomes)
    states = ", ".join(f"{n} {state}" for state, n in Counter(o.status for o in outcomes).items())
    _LOGGER.info("%s kernels: %s, %.1f s", kernel_set, states or "nothing to run", seconds)
    return outcomes


class _Session:
    """The files of all tasks, and the child that is alive at the moment, if any."""

    def __init__(
        self, kernel_set: str, tasks: Sequence[Task], timeout_seconds: float, threads: int
    ) -> None:
        self._kernel_set = kernel_set
        self._timeout_seconds = timeout_seconds
        self._threads = threads
        self._uses_left = Counter(id(array) for task in tasks for array in task.inputs)
        self._child: ChildProcess | None = None

    def __enter__(self) -> _Session:
        # On Windows a file may still be open for a moment; a leftover is no reason to fail.
        self._temporary = tempfile.TemporaryDirectory(prefix="tfgreen-", ignore_cleanup_errors=True)
        self._folder = Path(self._temporary.name)
        return self

    def __exit__(self, *exception: object) -> None:
        self._end_child()
        self._temporary.cleanup()

    def run(self, task: Task) -> Outcome:
        """One task; starts a child if none is alive."""
        results = self._folder / "results.bin"
        try:
            message = self._message(task, results)
        except OSError as error:
            raise self._no_files(str(error)) from error
        try:
            answer = self._living_child().ask(message, self._timeout_seconds)
        except ChildDiedError as error:
            self._end_child()
            return Outcome(
                "crashed", f"The {self._kernel_set} kernels died on {task.name}: {error}."
            )
        except ChildTimeoutError as error:
            self._end_child()
            return Outcome(
                "timed-out", f"The {self._kernel_set} kernels gave {error} on {task.name}."
            )
        finally:
            self._forget_files(task)
        if answer["event"] == "no-files":
            raise self._no_files(answer["message"])
        return _outcome(answer, results)

    def _living_child(self) -> ChildProcess:
        if self._child is None:
            self._child = ChildProcess(self._kernel_set, self._threads, self._folder)
        return self._child

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None

    def _message(self, task: Task, results: Path) -> dict[str, Any]:
        content = self._folder / "model.tflite"
        content.write_bytes(task.content)
        return {
            "content": str(content),
            "inputs": [str(self._written(array)) for array in task.inputs],
            "results": str(results),
            "capture": task.capture,
            "measure_arena": task.measure_loading_arena,
            "rounding": task.rounding,
        }

    def _written(self, array: np.ndarray) -> Path:
        path = self._array_path(array)
        if not path.exists():
            np.save(path, np.ascontiguousarray(array), allow_pickle=False)
        return path

    def _forget_files(self, task: Task) -> None:
        """Delete the inputs that no later task uses."""
        for array in task.inputs:
            self._uses_left[id(array)] -= 1
            if not self._uses_left[id(array)]:
                self._array_path(array).unlink(missing_ok=True)

    def _array_path(self, array: np.ndarray) -> Path:
        return self._folder / f"input-{id(array)}.npy"

    def _no_files(self, reason: str) -> KernelSetError:
        return KernelSetError(
            f"The files for the {self._kernel_set} kernels could not be exchanged in "
            f"{self._folder.parent} ({reason}). Free some space, or set TMPDIR to another folder."
        )


def _outcome(answer: dict[str, Any], results: Path) -> Outcome:
    seconds = answer["seconds"]
    if answer["status"] != "ok":
        return Outcome(answer["status"], answer["message"], seconds=seconds)
    arrays = Layout.from_message(answer["layout"]).read(results, answer["sample_count"])
    results.unlink()
    captured = {key: array for key, array in arrays.items() if key.startswith("tensor ")}
    count = len(arrays) - len(captured)
    return Outcome(
        "ok",
        outputs=tuple(np.array(arrays[output_key(position)]) for position in range(count)),
        tensors={int(key.split()[1]): array for key, array in captured.items()},
        arena_bytes=answer["arena_bytes"],
        arena_head_bytes=answer["arena_head_bytes"],
        arena_to_load_bytes=answer["arena_to_load_bytes"],
        peak_accumulator=answer["peak_accumulator"],
        seconds=seconds,
    )
