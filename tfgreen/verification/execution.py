"""Running tasks on several kernel sets at once, two processes at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence

from tfgreen.runtimes import Outcome, Task, run_tasks

OnProgress = Callable[[str, int, int], None]
"""Called with what is being done, how many tasks are done, and how many there are."""

TASK_TIMEOUT_SECONDS = 600.0
FEWER_SAMPLES = "Fewer samples take less time: --samples (sample_limit= of certify)"
"""What to do where a task took longer."""

_PROCESSES = 2
_POLL_SECONDS = 0.2


class _StoppedError(Exception):
    """Ends a kernel set's tasks because something else went wrong or was interrupted."""


class Executor:
    """Runs tasks on kernel sets in child processes, and tells how far they are.

    Args:
        on_progress: Never called from two threads at once.
    """

    def __init__(self, on_progress: OnProgress | None = None) -> None:
        self._on_progress = on_progress

    def run_each(
        self, doing: str, tasks: Mapping[tuple[str, str], Task]
    ) -> dict[tuple[str, str], Outcome]:
        """Outcomes by (kernel set, key of your choice). Kernel sets start in the order given."""
        work: dict[str, list[Task]] = {}
        for (kernel_set, _), task in tasks.items():
            work.setdefault(kernel_set, []).append(task)
        outcomes = {name: iter(results) for name, results in self.run(doing, work).items()}
        return {key: next(outcomes[key[0]]) for key in tasks}

    def run(self, doing: str, work: Mapping[str, Sequence[Task]]) -> dict[str, list[Outcome]]:
        """The outcomes of every kernel set's tasks, in the order of its tasks.

        Raises whatever `run_tasks` raises, after the other kernel sets were told to stop. The
        threads are daemons: an interrupted program ends at once, and its children with it.
        """
        batch = _Batch(doing, {name: tasks for name, tasks in work.items() if tasks})
        batch.on_progress = self._on_progress
        threads = [
            threading.Thread(target=batch.work, daemon=True)
            for _ in range(min(_PROCESSES, len(batch.tasks)))
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(_POLL_SECONDS)
        finally:
            batch.stopped.set()
        if batch.error is not None:
            raise batch.error
        return {name: batch.outcomes[name] for name in batch.tasks}


class _Batch:
    """What the threads of one `run` share."""

    def __init__(self, doing: str, tasks: dict[str, Sequence[Task]]) -> None:
        self.doing, self.tasks = doing, tasks
        self.on_progress: OnProgress | None = None
        self.outcomes: dict[str, list[Outcome]] = {}
        self.error: BaseException | None = None
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._done = dict.fromkeys(tasks, 0)
        self._total = sum(map(len, tasks.values()))
        self._waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        for name in tasks:
            self._waiting.put(name)

    def work(self) -> None:
        """Take one kernel set after the other until none is left."""
        while not self.stopped.is_set():
            try:
                name = self._waiting.get_nowait()
            except queue.Empty:
                return
            try:
                self.outcomes[name] = run_tasks(
                    name,
                    self.tasks[name],
                    timeout_seconds=TASK_TIMEOUT_SECONDS,
                    on_progress=self._progress_of(name),
                )
            except _StoppedError:
                return
            except BaseException as error:  # noqa: BLE001 (raised again in `Executor.run`)
                self.error = self.error or error
                self.stopped.set()
                return

    def _progress_of(self, name: str) -> Callable[[int, int], None]:
        def tell(done: int, _: int) -> None:
            if self.stopped.is_set():
                raise _StoppedError
            with self._lock:
                self._done[name] = done
                if self.on_progress is not None:
                    self.on_progress(self.doing, sum(self._done.values()), self._total)

        return tell
