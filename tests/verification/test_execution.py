"""Two kernel sets at a time: outcomes in order, progress, errors and interruption."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tfgreen.errors import KernelSetError
from tfgreen.runtimes import Outcome, Task
from tfgreen.verification import execution
from tfgreen.verification.execution import Executor


def task(name: str) -> Task:
    return Task(name, b"", (np.zeros(1),))


def fake(monkeypatch: pytest.MonkeyPatch, run: Callable[[str, Task], Outcome]) -> None:
    def run_tasks(
        kernel_set: str, tasks: Sequence[Task], *, on_progress: Any, **_: object
    ) -> list[Outcome]:
        outcomes = []
        for done, each in enumerate(tasks, start=1):
            outcomes.append(run(kernel_set, each))
            on_progress(done, len(tasks))
        return outcomes

    monkeypatch.setattr(execution, "run_tasks", run_tasks)


def test_outcomes_come_back_by_kernel_set_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, lambda kernel_set, each: Outcome("ok", f"{kernel_set} {each.name}"))
    tasks = {
        ("reference", "a"): task("1"),
        ("xnnpack", "a"): task("2"),
        ("reference", "b"): task("3"),
        ("micro", "a"): task("4"),
    }
    told: list[tuple[str, int, int]] = []
    outcomes = Executor(lambda *progress: told.append(progress)).run_each("trying", tasks)
    assert {key: outcome.message for key, outcome in outcomes.items()} == {
        ("reference", "a"): "reference 1",
        ("xnnpack", "a"): "xnnpack 2",
        ("reference", "b"): "reference 3",
        ("micro", "a"): "micro 4",
    }
    assert [done for _, done, _ in told] == [1, 2, 3, 4]
    assert {(doing, total) for doing, _, total in told} == {("trying", 4)}


def test_two_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    meeting = threading.Barrier(2, timeout=10)

    def run(kernel_set: str, each: Task) -> Outcome:
        meeting.wait()
        return Outcome("ok")

    fake(monkeypatch, run)
    work = {name: [task("t")] for name in ("reference", "xnnpack")}
    assert len(Executor().run("trying", work)) == 2


def test_nothing_to_do() -> None:
    assert Executor().run("trying", {"reference": []}) == {}


def test_an_error_stops_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def run(kernel_set: str, each: Task) -> Outcome:
        if kernel_set == "xnnpack":
            raise KernelSetError("no room")
        ran.append(each.name)
        time.sleep(0.05)
        return Outcome("ok")

    fake(monkeypatch, run)
    work = {"xnnpack": [task("t")], "reference": [task(str(i)) for i in range(1000)]}
    with pytest.raises(KernelSetError, match="no room"):
        Executor().run("trying", work)
    assert len(ran) < 1000


def test_an_interrupted_program_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def run(kernel_set: str, each: Task) -> Outcome:
        release.wait(20)
        return Outcome("ok")

    fake(monkeypatch, run)

    def interrupt(self: threading.Thread, timeout: float | None = None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "join", interrupt)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        Executor().run("trying", {"reference": [task("t")]})
    assert time.monotonic() - start < 5
    release.set()
