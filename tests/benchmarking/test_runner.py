"""The runner: turns under a fake clock, and the whole script on tiny files in fresh processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tiny_models import int8_classifier
from tfgreen.benchmarking import runner


class Clock:
    """Time that passes only where a run says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def __call__(self) -> float:
        return self.now

    def run(self, name: str, seconds: float) -> Any:
        def once() -> None:
            self.now += seconds
            self.log.append(name)

        return once


def test_candidates_take_turns_and_times_are_of_one_run() -> None:
    clock = Clock()
    runs = [clock.run("a", 1.0), clock.run("b", 2.0), clock.run("c", 4.0)]
    blocks = runner.take_turns(runs, [3, 2, 1], 6, 7, clock, lambda: 10 * clock.now)
    assert blocks == [[(1.0, 10.0)] * 6, [(2.0, 20.0)] * 6, [(4.0, 40.0)] * 6]
    # Blocks of several runs are led by one that is not timed.
    assert Counter(clock.log) == {"a": 6 * 4, "b": 6 * 3, "c": 6}
    rounds = [clock.log[start : start + 8] for start in range(0, len(clock.log), 8)]
    assert all(sorted(one) == sorted("aaaabbbc") for one in rounds)  # everyone in every round
    assert len({"".join(one) for one in rounds}) > 1  # and not always in the same order


def test_the_order_is_the_sessions_own_and_the_same_again() -> None:
    def order(seed: int) -> list[str]:
        clock = Clock()
        runs = [clock.run(name, 1.0) for name in "abcd"]
        runner.take_turns(runs, [1] * 4, 10, seed, clock, clock)
        return clock.log

    assert order(0) == order(0) != order(1)


def test_a_slow_round_slows_everyone_in_it() -> None:
    """What the pairing of blocks rests on: block i of all candidates lies in round i."""
    clock = Clock()
    slow = {"now": 1.0}

    def run() -> None:
        clock.now += slow["now"]
        if clock.now >= 8:  # from the third round on, something else runs
            slow["now"] = 2.0

    blocks = runner.take_turns([run] * 4, [1] * 4, 4, 0, clock, clock)
    assert [[wall for wall, _ in one] for one in blocks] == [[1.0, 1.0, 2.0, 2.0]] * 4


def test_warming_up_ends_with_the_time_but_not_before_three_runs() -> None:
    clock = Clock()
    assert runner.warm_up(clock.run("quick", 0.25), 1.0, clock) == 0.25
    assert clock.log == ["quick"] * 4
    assert runner.warm_up(clock.run("slow", 50.0), 1.0, clock) == 50.0
    assert clock.log.count("slow") == 3


@pytest.mark.parametrize(("estimate", "runs"), [(0.001, 5), (0.0009, 6), (0.005, 1), (2.0, 1)])
def test_blocks_are_long_enough_for_the_clock(estimate: float, runs: int) -> None:
    assert runner.runs_of_block(estimate, 0.005) == runs


@pytest.mark.parametrize(
    ("budget", "block", "rounds"), [(2.0, 0.01, 20), (2.0, 0.2, 10), (2.0, 9.0, 5)]
)
def test_slow_files_get_fewer_rounds(budget: float, block: float, rounds: int) -> None:
    assert runner.rounds_within(20, budget, block) == rounds


def order_of(folder: Path, contents: list[bytes], **changes: Any) -> Path:
    files = []
    for index, content in enumerate(contents):
        (folder / f"{index}.tflite").write_bytes(content)
        np.save(folder / "input.npy", np.zeros((1, 16), np.int8))
        files.append({"path": f"{index}.tflite", "inputs": ["input.npy"]})
    order = {
        "files": files,
        "candidates": [{"file": index, "kernel_set": "xnnpack"} for index in range(len(files))],
        "threads": [1],
        "pin": True,
        "sessions": 1,
        "rounds": 5,
        "budget_seconds": 0.1,
        "block_seconds": 0.0001,
        "warmup_seconds": 0.0,
        "probes": 1,
        "limit_seconds": 60,
        **changes,
    }
    path = folder / "order.json"
    path.write_text(json.dumps(order), encoding="utf-8")
    return path


def carried_out(folder: Path, script: str | Path = runner.__file__, *flags: str) -> Any:
    command = [sys.executable, *flags, str(script), "order.json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (line,) = (one for one in done.stdout.splitlines() if one.startswith(runner.RESULT))
    return json.loads(line[len(runner.RESULT) :])


def test_the_script_stands_alone(tmp_path: Path) -> None:
    """A copy of the one file, where no tfgreen can be found, does it all."""
    order_of(tmp_path, [int8_classifier()])
    copy = tmp_path / "runner.py"
    copy.write_bytes(Path(runner.__file__).read_bytes())
    assert "tfgreen" not in {
        line.split()[1].split(".")[0]
        for line in copy.read_text().splitlines()
        if line.startswith(("import ", "from "))
    }
    answer = carried_out(tmp_path, copy)
    (session,) = answer["sessions"]
    assert session["status"] == "ok"
    ((probe,),) = answer["probes"]
    assert probe["status"] == "ok"
    assert probe["load_seconds"] > 0
    assert probe["added_bytes"] is None or probe["peak_bytes"] >= probe["added_bytes"] >= 0
    assert len(session["blocks"][0]) == 5
    assert all(wall > 0 and cpu >= 0 for wall, cpu in session["blocks"][0])
    assert len(session["cpus"]) <= 1
    assert answer["host"]["litert"][0].isdigit()


def test_a_file_that_does_not_load_costs_its_own_row(tmp_path: Path) -> None:
    order_of(tmp_path, [int8_classifier(), b"not a model" * 20])
    answer = carried_out(tmp_path)
    good, bad = answer["probes"]
    assert good[0]["status"] == "ok"
    assert bad[0]["status"] in ("failed", "crashed")
    assert bad[0]["message"]
    (session,) = answer["sessions"]
    assert session["status"] == "ok"
    assert session["candidates"] == [0]


def test_a_child_that_dies_is_told(tmp_path: Path) -> None:
    order_of(tmp_path, [int8_classifier()], limit_seconds=0.001)
    answer = carried_out(tmp_path)
    assert answer["probes"][0][0]["status"] == "timed-out"
    assert answer["sessions"] == []


def test_missing_packages_are_the_answer(tmp_path: Path) -> None:
    order_of(tmp_path, [int8_classifier()])
    answer = carried_out(tmp_path, runner.__file__, "-I", "-S")  # no site-packages
    assert answer["error"] == runner.NO_LITERT
    assert "numpy" in answer["message"]
