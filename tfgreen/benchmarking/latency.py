"""`benchmark`: how long files take and how much memory, on this machine or over ssh."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfgreen.benchmarking.files import TimedFile, read_files
from tfgreen.benchmarking.local import run_here
from tfgreen.benchmarking.record import PER_OP, Benchmark, Host, Row, SpeedComparison
from tfgreen.benchmarking.ssh import Remote, run_there
from tfgreen.benchmarking.timings import Ratio, noise_of, ratio_of, spread_of
from tfgreen.errors import RemoteHostError, UnknownNameError, UsageError

OnProgress = Callable[[str, int, int], None]

KERNEL_SETS = ("xnnpack", "optimized", "reference")
THIS_MACHINE = "this machine"
_ALL = 0


@dataclass(frozen=True)
class Effort:
    """How long is measured: more of everything is slower and steadier.

    sessions: fresh processes for each number of threads. rounds: in a session, every file once
    in each; fewer, down to five, where they would take longer than `budget_seconds` for each
    file. block_seconds: a file is run so long at a time. warmup_seconds: before the first round.
    probes: fresh processes for load time and memory. limit_seconds: for any process.
    """

    sessions: int = 3
    rounds: int = 20
    budget_seconds: float = 2.0
    block_seconds: float = 0.005
    warmup_seconds: float = 0.2
    probes: int = 3
    limit_seconds: float = 600.0


def benchmark(
    files: str | Path | Sequence[str | Path],
    *,
    against: str | Path | None = None,
    kernel_sets: Sequence[str] = ("xnnpack",),
    threads: int | None = None,
    ssh: Remote | str | None = None,
    effort: Effort | None = None,
    on_progress: OnProgress | None = None,
) -> Benchmark:
    """Time files by turns, with one thread and with several, and say what can be told apart.

    Every measurement runs in a child process, kept to its processors (on Linux). A session loads
    all files side by side and times them block by block, in an order drawn anew for each round.

    Args:
        files: one or more `.tflite` files or bundle folders.
        against: the file that the others are compared with; the first of `files` by default.
        kernel_sets: LiteRT's: "xnnpack" (what apps run), "optimized", "reference".
        threads: threads of the second measurement; all processors by default, 1 for none.
        ssh: run there instead: a host as ssh knows it, or a `Remote` with a port and a Python.
        effort: how long is measured.
        on_progress: called with (step, done, of).

    Returns:
        Times, memory, noise verdicts and comparisons; print it.

    Raises:
        MissingPathError, InvalidModelError, IntegrityError: what was given is no sound file.
        UnknownNameError: no such kernel set.
        MissingDependencyError: ai-edge-litert is missing, here or there.
        RemoteHostError: the other machine could not be reached, or has no Python.
    """
    paths = [files] if isinstance(files, str | Path) else list(files)
    if against is not None and Path(against) not in [Path(path) for path in paths]:
        paths.append(against)
    if not paths:
        raise UsageError("No file was given. Give at least one .tflite file or bundle folder.")
    baseline = 0 if against is None else [Path(path) for path in paths].index(Path(against))
    return benchmark_files(
        read_files(paths),
        baseline=baseline,
        kernel_sets=kernel_sets,
        threads=(1, _ALL if threads is None else threads),
        remote=Remote(ssh) if isinstance(ssh, str) else ssh,
        effort=effort,
        on_progress=on_progress,
    )


def benchmark_files(
    files: Sequence[TimedFile],
    *,
    baseline: int = 0,
    kernel_sets: Sequence[str] = ("xnnpack",),
    threads: Sequence[int] = (1,),
    remote: Remote | None = None,
    effort: Effort | None = None,
    on_progress: OnProgress | None = None,
) -> Benchmark:
    """`benchmark` of files that were read already; 0 threads stand for all processors."""
    for name in kernel_sets:
        if name not in KERNEL_SETS:
            raise UnknownNameError("kernel set of LiteRT", name, KERNEL_SETS)
    if min(threads) < 0:
        raise UsageError(f"Received {min(threads)} threads; expected 1 or more.")
    candidates = [
        {"file": index, "kernel_set": name} for index in range(len(files)) for name in kernel_sets
    ]
    with tempfile.TemporaryDirectory(prefix="tfgreen-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        order = {
            "files": [_written(folder, index, file) for index, file in enumerate(files)],
            "candidates": candidates,
            "threads": list(threads),
            "pin": True,
            **vars(effort or Effort()),
        }
        (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")
        tell = on_progress or (lambda step, done, of: None)
        if remote is None:
            return _record(files, candidates, run_here(folder, tell), THIS_MACHINE, baseline)
        answer = run_there(remote, folder, tell)
    try:
        return _record(files, candidates, answer, remote.host, baseline)
    except (LookupError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise RemoteHostError(
            f"{remote.host} gave an answer that is not the runner's ({type(error).__name__}: "
            f"{error}). Check what its Python prints by itself: ssh {remote.host} "
            f"{remote.python} --version"
        ) from error


def _written(folder: Path, index: int, file: TimedFile) -> dict[str, Any]:
    """The file and its inputs in the folder, under names relative to it."""
    path = f"file{index}.tflite"
    (folder / path).write_bytes(file.content)
    inputs = []
    for position, array in enumerate(file.inputs()):
        inputs.append(f"file{index}-input{position}.npy")
        np.save(folder / inputs[-1], array, allow_pickle=False)
    return {"path": path, "inputs": inputs}


Blocks = list[list[float]]
"""Seconds of one run, block by block, session by session."""


@dataclass(frozen=True)
class _Measured:
    """What the runner told, by candidate and number of threads."""

    files: Sequence[TimedFile]
    candidates: Sequence[Mapping[str, Any]]
    answer: Mapping[str, Any]

    def blocks(self, candidate: int, threads: int, which: int = 0) -> Blocks:
        """Wall seconds (0) or CPU-seconds (1); empty where a session failed."""
        sessions = [one for one in self.answer["sessions"] if one["threads"] == threads]
        if not sessions or any(one["status"] != "ok" for one in sessions):
            return []
        if candidate not in sessions[0]["candidates"]:
            return []
        place = sessions[0]["candidates"].index(candidate)
        return [[block[which] for block in one["blocks"][place]] for one in sessions]

    def row(self, candidate: int, threads: int) -> Row:
        chosen = self.candidates[candidate]
        file = self.files[chosen["file"]]
        names = {"file": file.name, "width": file.width, "kernel_set": chosen["kernel_set"]}
        failed = self._failure(candidate, threads)
        if failed is not None:
            told = {"status": failed["status"], "message": failed["message"]}
            return Row.model_validate({**names, "threads": threads, **told})
        blocks = self.blocks(candidate, threads)
        cpu = self.blocks(candidate, threads, 1)
        probes = self.answer["probes"][candidate]
        session = next(one for one in self.answer["sessions"] if one["threads"] == threads)
        return Row.model_validate(
            {
                **names,
                "threads": threads,
                "cpus": tuple(session["cpus"]),
                "latency": spread_of(blocks),
                "noise": noise_of(blocks),
                "cpu_seconds": statistics.median(s for part in cpu for s in part),
                "load_seconds": statistics.median(one["load_seconds"] for one in probes),
                "first_run_seconds": statistics.median(one["first_run_seconds"] for one in probes),
                "added_bytes": _least([one["added_bytes"] for one in probes]),
                "process_bytes": _least([one["peak_bytes"] for one in probes]),
            }
        )

    def _failure(self, candidate: int, threads: int) -> Mapping[str, Any] | None:
        sessions = [one for one in self.answer["sessions"] if one["threads"] == threads]
        for told in (*self.answer["probes"][candidate], *sessions):
            if told["status"] != "ok":
                found: Mapping[str, Any] = told
                return found
        return None


def _least(sizes_bytes: Sequence[int | None]) -> int | None:
    known = [size for size in sizes_bytes if size is not None]
    return min(known, default=None)


def _record(
    files: Sequence[TimedFile],
    candidates: Sequence[Mapping[str, Any]],
    answer: Mapping[str, Any],
    host: str,
    baseline: int,
) -> Benchmark:
    measured = _Measured(files, candidates, answer)
    return Benchmark(
        host=Host(name=host, **answer["host"]),
        rows=tuple(
            measured.row(candidate, threads)
            for candidate in range(len(candidates))
            for threads in answer["threads"]
        ),
        comparisons=tuple(_comparisons(measured, baseline)),
        notes=tuple(_notes(answer)),
    )


def _comparisons(measured: _Measured, baseline: int) -> Iterator[SpeedComparison]:
    """Every other file against the baseline, where both ran."""
    by_name = {
        (one["file"], one["kernel_set"]): index for index, one in enumerate(measured.candidates)
    }
    other = measured.files[baseline]
    for (number, kernel_set), candidate in by_name.items():
        for threads in measured.answer["threads"]:
            mine = measured.blocks(candidate, threads)
            theirs = measured.blocks(by_name[baseline, kernel_set], threads)
            if number == baseline or not mine or not theirs:
                continue
            file, ratio = measured.files[number], ratio_of(mine, theirs)
            yield SpeedComparison(
                file=file.name,
                baseline=other.name,
                kernel_set=kernel_set,
                threads=threads,
                ratio=ratio,
                cpu_ratio=_cpu_ratio(measured, candidate, by_name[baseline, kernel_set], threads),
                message=_sentence(file, other, kernel_set, threads, ratio),
            )


def _cpu_ratio(measured: _Measured, candidate: int, baseline: int, threads: int) -> Ratio | None:
    mine = measured.blocks(candidate, threads, 1)
    theirs = measured.blocks(baseline, threads, 1)
    if not all(seconds > 0 for session in (*mine, *theirs) for seconds in session):
        return None
    return ratio_of(mine, theirs)


def _sentence(
    file: TimedFile, other: TimedFile, kernel_set: str, threads: int, ratio: Ratio
) -> str:
    where = f"on {kernel_set} with {threads} thread{'s' if threads > 1 else ''}"
    interval = f"{ratio.low:.2f} to {ratio.high:.2f}"
    if ratio.verdict == "undecided":
        return (
            f"{file.name} and {other.name} cannot be told apart {where}: {ratio.median:.2f} times "
            f"the time ({interval}, or sessions that disagree)."
        )
    text = (
        f"{file.name} is {ratio.verdict} than {other.name} {where}: {ratio.median:.2f} times the "
        f"time ({interval})."
    )
    slower_int = file.width not in ("float32", "float16") and ratio.verdict == "slower"
    if slower_int and other.width in ("float32", "float16"):
        text += f" On this machine {file.width} is SLOWER than float: it saves bytes, not time."
    return text


def _notes(answer: Mapping[str, Any]) -> Iterator[str]:
    yield PER_OP
    yield "Speeds belong to this machine: phones and microcontrollers order files otherwise."
    if not any(one.get("cpus") for one in answer["sessions"]):
        yield "Nothing was pinned: this system does not let a process choose its processors."
    load = answer["host"]["load_before"]
    if load is not None and load > answer["host"]["cpus"] / 2:
        yield (
            f"The machine was busy before the start (load {load:.1f} on "
            f"{answer['host']['cpus']} processors): measure again when it is idle."
        )
