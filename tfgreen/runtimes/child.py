"""The child process: `python -m tfgreen.runtimes.child KERNEL_SET THREADS`.

It reads one task from standard input (a line of JSON with the paths of its files), runs it,
writes the arrays to a file and answers with a line of JSON. It imports NumPy and one runtime,
never TensorFlow, and does not outlive its parent: standard input at its end means that the parent
is gone. What a runtime prints goes to standard error.
"""

from __future__ import annotations

import ctypes
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from tfgreen.errors import InvalidModelError
from tfgreen.runtimes.protocol import LoadedModel, RefusedModelError, UnregisteredOpError
from tfgreen.runtimes.records import Layout
from tfgreen.runtimes.refusals import one_line

_PR_SET_PDEATHSIG = 1
_STDOUT, _STDERR = 1, 2


def main(arguments: Sequence[str]) -> None:
    """Answer tasks until standard input ends."""
    kernel_set, threads = arguments[0], int(arguments[1])
    _leave_with_parent()
    _write_no_core_file()
    tasks = _tasks_until_parent_leaves()
    with _private_stdout() as answers:
        _import_runtime(kernel_set)
        _answer(answers, {"event": "ready"})
        for task in tasks:
            _answer(answers, _run(kernel_set, threads, task))


def _run(kernel_set: str, threads: int, task: dict[str, Any]) -> dict[str, Any]:
    """One task from files to files; what it raises on purpose becomes the answer's status."""
    start = time.perf_counter()
    try:
        answer = _run_samples(_load(kernel_set, threads, task), task)
    except UnregisteredOpError as error:
        answer = {"status": "unregistered", "message": str(error)}
    except (RefusedModelError, InvalidModelError) as error:
        answer = {"status": "failed", "message": str(error)}
    except MemoryError:
        answer = {"status": "failed", "message": "There was not enough memory to run the model."}
    except OSError as error:
        return {"event": "no-files", "message": one_line(str(error))}
    return {"event": "done", "seconds": time.perf_counter() - start, **answer}


def _load(kernel_set: str, threads: int, task: dict[str, Any]) -> LoadedModel:
    content = Path(task["content"]).read_bytes()
    if kernel_set == "numpy":
        from tfgreen.runtimes.interpreted import InterpretedModel

        return InterpretedModel(content, task["capture"], task["rounding"])
    if kernel_set == "micro":
        from tfgreen.runtimes.micro import MicroModel

        return MicroModel(content, task["capture"])
    from tfgreen.runtimes.litert import LitertModel

    return LitertModel(kernel_set, content, task["capture"], threads)


def _run_samples(model: LoadedModel, task: dict[str, Any]) -> dict[str, Any]:
    arrays = [np.load(path, mmap_mode="r") for path in task["inputs"]]
    sample_count = _sample_count(model, arrays)
    layout: Layout | None = None
    with Path(task["results"]).open("wb") as file:
        for sample in model.invoke_each(arrays, sample_count):
            layout = layout or _layout(sample)
            if not layout.fits(sample):
                raise RefusedModelError("The shapes of the outputs change from sample to sample.")
            layout.write(file, sample)
    return {
        "status": "ok",
        "layout": layout.to_message() if layout else None,
        "sample_count": sample_count,
        "arena_bytes": model.arena_bytes(),
        "arena_head_bytes": model.arena_head_bytes(),
        "arena_to_load_bytes": model.arena_to_load_bytes() if task["measure_arena"] else None,
        "peak_accumulator": model.peak_accumulator(),
    }


def _layout(sample: Mapping[str, np.ndarray]) -> Layout:
    if any(array.dtype.hasobject for array in sample.values()):
        raise RefusedModelError("An output holds strings, which cannot be compared as numbers.")
    return Layout.of(sample)


def _sample_count(model: LoadedModel, arrays: Sequence[np.ndarray]) -> int:
    """N, once every array fits its graph input."""
    expected = [f"(N, {', '.join(map(str, s))}) {d}" for s, d in model.input_specs]
    received = [f"{a.shape} {a.dtype}" for a in arrays]
    fit = len(arrays) == len(model.input_specs) and all(
        array.shape[1:] == shape and array.dtype == dtype
        for array, (shape, dtype) in zip(arrays, model.input_specs, strict=True)
    )
    counts = {array.shape[0] for array in arrays if array.ndim} if arrays else {1}
    if not fit or len(counts) != 1 or 0 in counts:
        raise RefusedModelError(
            f"The model takes {'; '.join(expected) or 'no input'}, one N >= 1 for all; received "
            f"{'; '.join(received) or 'none'}."
        )
    return counts.pop()


def _import_runtime(kernel_set: str) -> None:
    """Import what the tasks will need, so that their times do not contain it."""
    if kernel_set == "numpy":
        from tfgreen import reference  # noqa: F401
    elif kernel_set == "micro":
        from tflite_micro.python.tflite_micro import runtime  # noqa: F401
    else:
        from ai_edge_litert import interpreter  # noqa: F401


def _answer(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def _private_stdout() -> TextIO:
    """The pipe to the parent; whatever else prints to standard output gets standard error."""
    private = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    return os.fdopen(private, "w", encoding="ascii")


def _tasks_until_parent_leaves() -> Iterator[dict[str, Any]]:
    """Tasks as they come; a thread ends the process, at work or not, when the parent is gone."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield json.loads(lines.get())


def _leave_with_parent() -> None:
    """On Linux, be killed when the parent dies, even inside a kernel that never returns."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _write_no_core_file() -> None:
    if os.name == "posix":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main(sys.argv[1:])
