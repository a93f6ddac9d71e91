"""Processor seconds of two files on TensorFlow Lite Micro's portable kernels, by turns.

    python -m benchmarks.faq.micro_time FIRST.tflite SECOND.tflite     # prints JSON

In a process of its own, since the kernels may abort. Wall time is left out of it: these kernels
take one thread, and other processes of the machine do not count.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

_TURNS, _BLOCK_SECONDS = 15, 0.05
_ARENA_BYTES = 8 * 1024 * 1024


def in_child(first: Path, second: Path) -> list[list[float]]:
    """Seconds of one call of each file, turn by turn: two lists of equal length."""
    command = [sys.executable, "-m", "benchmarks.faq.micro_time", str(first), str(second)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    found: list[list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _interpreter(path: str) -> Any:
    from tflite_micro import runtime

    from tfgreen.flatbuffer import TfliteModel
    from tfgreen.verification.workload import random_inputs

    content = Path(path).read_bytes()
    made = runtime.Interpreter.from_bytes(content, arena_size=_ARENA_BYTES)
    for index, array in enumerate(random_inputs(TfliteModel.from_bytes(content), 1)):
        made.set_input(np.ascontiguousarray(array[0]), index)
    return made


def _seconds(made: Any, calls: int) -> float:
    began = time.process_time()
    for _ in range(calls):
        made.invoke()
    return (time.process_time() - began) / calls


def main() -> None:
    """Time the files given on the command line."""
    both = [_interpreter(path) for path in sys.argv[1:3]]
    calls = [max(1, round(_BLOCK_SECONDS / _seconds(one, 2))) for one in both]
    turns = [[_seconds(one, n) for one, n in zip(both, calls, strict=True)] for _ in range(_TURNS)]
    print(json.dumps([list(column) for column in zip(*turns, strict=True)]))


if __name__ == "__main__":
    main()
