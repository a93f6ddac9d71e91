"""Times .tflite files: `python runner.py ORDER.json`, on this machine or on any other.

A script that stands alone: it needs Python 3.8, NumPy and ai-edge-litert, nothing of tfgreen, so
that it can be sent elsewhere as it is. It never times anything itself: every measurement is made
by a child, `python runner.py ORDER.json JOB`, so that a file that aborts costs only its own row.

    probe     one file alone in a fresh process: load time, first run, memory
    session   all files that can be run, loaded side by side, with one number of threads; they
              take turns in an order that is drawn anew for every round

The order holds the files, kernel sets and numbers of threads; the answer is one line of JSON
behind `@tfgreen-result`. Progress goes to standard error behind `@tfgreen-progress`.
"""

from __future__ import annotations

import ctypes
import gc
import json
import math
import os
import platform
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

RESULT, PROGRESS = "@tfgreen-result ", "@tfgreen-progress "
NO_LITERT = "no-litert"
RESOLVERS = {
    "reference": "BUILTIN_REF",
    "optimized": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "xnnpack": "BUILTIN",
}
FEWEST_ROUNDS = 5
_PR_SET_PDEATHSIG = 1
_KIBIBYTE = 1024


def main(arguments: Sequence[str]) -> int:
    """Carry out an order, or one job of it."""
    _leave_with_parent()
    order = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    if len(arguments) == 1:
        answer = benchmark(order, arguments[0])
    else:
        job = json.loads(arguments[1])
        answer = probe(order, job) if job["kind"] == "probe" else session(order, job)
    print(RESULT + json.dumps(answer), flush=True)
    return 0


def benchmark(order: dict[str, Any], order_path: str) -> dict[str, Any]:
    """Everything: probes, then sessions by turns of the numbers of threads."""
    missing = _missing_packages()
    if missing:
        return {"error": NO_LITERT, "message": missing}
    candidates = order["candidates"]
    threads = thread_counts(order["threads"], len(allowed_cpus()))
    steps = len(candidates) * order["probes"] + order["sessions"] * len(threads)
    before = load_average()
    done = 0
    probes: list[list[dict[str, Any]]] = [[] for _ in candidates]
    for _ in range(order["probes"]):
        for index, found in enumerate(probes):
            if all(one["status"] == "ok" for one in found):
                found.append(_child(order, order_path, {"kind": "probe", "candidate": index}))
            done += 1
            _tell("loading", done, steps)
    runnable = [i for i, found in enumerate(probes) if all(p["status"] == "ok" for p in found)]
    sessions = []
    for number in range(order["sessions"]):
        for count in threads:
            job = {"kind": "session", "threads": count, "number": number, "candidates": runnable}
            if runnable:
                sessions.append({**job, **_child(order, order_path, job)})
            done += 1
            _tell("timing", done, steps)
    return {
        "host": {**host_facts(), "load_before": before, "load_after": load_average()},
        "threads": threads,
        "probes": probes,
        "sessions": sessions,
    }


def probe(order: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """Load one file in this fresh process and run it once."""
    candidate = order["candidates"][job["candidate"]]
    pinned = pin(1) if order["pin"] else []
    _import_runtime()
    reset_peak()
    resting = peak_bytes()
    began = time.perf_counter()
    try:
        model = _Model(order["files"][candidate["file"]], candidate["kernel_set"], 1)
        loaded = time.perf_counter()
        model.run()
    except (ValueError, RuntimeError) as error:
        return {"status": "failed", "message": one_line(str(error))}
    ran = time.perf_counter()
    peak = peak_bytes()
    return {
        "status": "ok",
        "load_seconds": loaded - began,
        "first_run_seconds": ran - loaded,
        "peak_bytes": peak,
        "added_bytes": None if peak is None or resting is None else max(0, peak - resting),
        "cpus": pinned,
    }


def session(order: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """Time all candidates by turns with one number of threads."""
    pinned = pin(job["threads"]) if order["pin"] else []
    models = []
    for index in job["candidates"]:
        candidate = order["candidates"][index]
        file = order["files"][candidate["file"]]
        models.append(_Model(file, candidate["kernel_set"], job["threads"]))
    runs = [model.run for model in models]
    gc.disable()
    estimates = [warm_up(run, order["warmup_seconds"]) for run in runs]
    counts = [runs_of_block(estimate, order["block_seconds"]) for estimate in estimates]
    block_seconds = sum(count * estimate for count, estimate in zip(counts, estimates))  # noqa: B905 - Python 3.8
    rounds = rounds_within(order["rounds"], order["budget_seconds"] * len(runs), block_seconds)
    blocks = take_turns(runs, counts, rounds, job["number"])
    for model in models:
        model.reset()
    return {"status": "ok", "cpus": pinned, "runs_of_block": counts, "blocks": blocks}


def take_turns(
    runs: Sequence[Callable[[], None]],
    counts: Sequence[int],
    rounds: int,
    seed: int,
    clock: Callable[[], float] = time.perf_counter,
    cpu_clock: Callable[[], float] = time.process_time,
) -> list[list[tuple[float, float]]]:
    """Time blocks of runs: every candidate once in every round, in an order drawn for the round.

    Before a block of several runs there is one that is not timed: the one before may have
    pushed this candidate's data out of the caches.

    Returns for each candidate, for each round: wall seconds and CPU-seconds of one run.
    """
    draw = random.Random(seed)
    blocks: list[list[tuple[float, float]]] = [[] for _ in runs]
    order = list(range(len(runs)))
    for _ in range(rounds):
        draw.shuffle(order)
        for index in order:
            run, count = runs[index], counts[index]
            if count > 1:
                run()
            cpu, began = cpu_clock(), clock()
            for _ in range(count):
                run()
            ended, cpu_ended = clock(), cpu_clock()
            blocks[index].append(((ended - began) / count, (cpu_ended - cpu) / count))
    return blocks


def warm_up(
    run: Callable[[], None], seconds: float, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Run for some seconds, three times at least; the shortest of the last runs, in seconds."""
    began = clock()
    taken: list[float] = []
    while len(taken) < 3 or clock() - began < seconds:
        start = clock()
        run()
        taken.append(clock() - start)
    return max(min(taken[-3:]), 1e-9)


def runs_of_block(estimate_seconds: float, block_seconds: float) -> int:
    """How many runs make a block long enough for the clock."""
    return max(1, math.ceil(block_seconds / estimate_seconds))


def rounds_within(wanted: int, budget_seconds: float, block_seconds: float) -> int:
    """Rounds that fit the budget; no fewer than five."""
    return max(FEWEST_ROUNDS, min(wanted, int(budget_seconds / max(block_seconds, 1e-9))))


def thread_counts(wanted: Sequence[int], cpus: int) -> list[int]:
    """Numbers of threads in rising order; 0 stands for all processors.

    >>> thread_counts([1, 0], 4), thread_counts([1, 0], 1)
    ([1, 4], [1])
    """
    return sorted({count or cpus for count in wanted})


def allowed_cpus() -> list[int]:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def pin(count: int) -> list[int]:
    """Keep this process to so many processors, the last ones; those, or none where it cannot.

    Threads inherit it, so this comes before a runtime starts any. The first processor serves
    most interrupts.
    """
    if not hasattr(os, "sched_setaffinity"):
        return []
    chosen = allowed_cpus()[-count:]
    try:
        os.sched_setaffinity(0, chosen)
    except OSError:  # a container may forbid it; the answer tells that nothing was pinned
        return []
    return chosen


def reset_peak() -> None:
    """Forget the peak so far (Linux), so that the imports' does not hide the model's."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_bytes() -> int | None:
    """Most memory that this process has held, in bytes; None where nobody tells."""
    for line in _lines_of("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * _KIBIBYTE
    if os.name != "posix":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else _KIBIBYTE
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _lines_of(path: str) -> list[str]:
    """Lines of a file of Linux's /proc; none where the system keeps no such file."""
    place = Path(path)
    return place.read_text().splitlines() if place.exists() else []


def load_average() -> float | None:
    """Processes that waited for a processor in the last minute; None where nobody tells."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def host_facts() -> dict[str, Any]:
    """What the figures belong to."""
    return {
        "processor": _processor_name(),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "cpus": len(allowed_cpus()),
        "python": platform.python_version(),
        "litert": _litert_version(),
    }


def one_line(text: str) -> str:
    """The first line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0][:300] if lines else "no reason was given"


class _Model:
    """A loaded file with its input set."""

    def __init__(self, file: dict[str, Any], kernel_set: str, threads: int) -> None:
        import numpy as np
        from ai_edge_litert import interpreter as litert

        self._interpreter: Any = litert.Interpreter(
            model_path=file["path"],
            num_threads=threads,
            experimental_op_resolver_type=litert.OpResolverType[RESOLVERS[kernel_set]],
        )
        self._interpreter.allocate_tensors()
        details = self._interpreter.get_input_details()
        for detail, path in zip(details, file["inputs"]):  # noqa: B905 - Python 3.8
            self._interpreter.set_tensor(detail["index"], np.load(path))
        self.run: Callable[[], None] = self._interpreter.invoke

    def reset(self) -> None:
        """Back to the first state of the file's variables."""
        self._interpreter.reset_all_variables()


def _child(order: dict[str, Any], order_path: str, job: dict[str, Any]) -> dict[str, Any]:
    """A job's answer; how the child died, if it did."""
    command = [sys.executable, "-W", "ignore", __file__, order_path, json.dumps(job)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=order["limit_seconds"])
    except subprocess.TimeoutExpired:
        return {"status": "timed-out", "message": f"no answer in {order['limit_seconds']:g} s"}
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        if line.startswith(RESULT):
            answer: dict[str, Any] = json.loads(line[len(RESULT) :])
            return answer
    words = done.stderr.decode("utf-8", "replace").strip().splitlines()
    ending = _ending(done.returncode) + (f": {words[-1].strip()[:300]}" if words else "")
    return {"status": "crashed", "message": ending}


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"return code {code}"


def _missing_packages() -> str:
    try:
        _import_runtime()
    except ImportError as error:
        return one_line(str(error))
    return ""


def _import_runtime() -> None:
    import numpy  # noqa: F401
    from ai_edge_litert import interpreter  # noqa: F401


def _processor_name() -> str:
    facts: dict[str, str] = {}
    for line in _lines_of("/proc/cpuinfo"):
        name, _, value = line.partition(":")
        facts.setdefault(name.strip().lower(), value.strip())
    known = facts.get("model name") or facts.get("hardware") or platform.processor()
    return known or platform.machine()


def _litert_version() -> str:
    from importlib import metadata

    for name in ("ai-edge-litert", "ai-edge-litert-nightly"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "unknown"


def _tell(step: str, done: int, of: int) -> None:
    print(PROGRESS + json.dumps([step, done, of]), file=sys.stderr, flush=True)


def _leave_with_parent() -> None:
    """On Linux, end when the parent does, also inside a kernel that never returns."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
