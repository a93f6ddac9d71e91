"""Files damaged outside their weights, as a faulty writer or a bad disk would."""

from __future__ import annotations

import numpy as np

from tfgreen.errors import TfgreenError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.reference import Interpreter
from tfgreen.runtimes import Task, run_tasks

WORKING_SET_BYTES = 64 << 20
_SMALLEST_BUFFER_BYTES = 16
_INTERESTING = (0, 1, 2, 0x7F, 0x80, 0xFF)
_WORDS = (0, 1, -1, 1 << 16, 1 << 30, (1 << 31) - 1, -(1 << 31))


def structure_offsets(content: bytes) -> np.ndarray:
    """Where the bytes lie that belong to no buffer: tables, shapes, options, quantization."""
    outside = np.ones(len(content), np.bool_)
    model = TfliteModel.from_bytes(content)
    for tensor in model.tensors:
        stored = model.stored_bytes(tensor.index).tobytes()
        if len(stored) >= _SMALLEST_BUFFER_BYTES:
            start = content.find(stored)
            outside[start : start + len(stored)] = False
    return np.flatnonzero(outside)


def mutated(content: bytes, offsets: np.ndarray, rng: np.random.Generator) -> bytes:
    """The file with one to three bytes or words changed."""
    damaged = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        place = int(rng.choice(offsets))
        kind = rng.integers(0, 4)
        if kind == 0:
            damaged[place] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            damaged[place] = int(rng.choice(_INTERESTING))
        elif kind == 2:
            damaged[place] = int(rng.integers(0, 256))
        else:
            word = int(rng.choice(_WORDS)) & 0xFFFFFFFF
            start = place & ~3
            damaged[start : start + 4] = word.to_bytes(4, "little")
    return bytes(damaged)


def sample_for(model: TfliteModel) -> tuple[np.ndarray, ...]:
    """One sample for whatever inputs a file says it has."""
    rng = np.random.default_rng(0)
    return tuple(
        rng.integers(0, 127, (1, *model.tensors[index].shape)).astype(model.tensors[index].dtype)
        for index in model.inputs
    )


def surviving(
    files: list[bytes],
) -> list[tuple[bytes, tuple[np.ndarray, ...], tuple[np.ndarray, ...]]]:
    """Those that run all the same, with their inputs and outputs; the others raise our errors."""
    found = []
    for content in files:
        try:
            interpreter = Interpreter(content, working_set_bytes=WORKING_SET_BYTES)
            sample = sample_for(interpreter.model)
            found.append((content, sample, interpreter.run(sample)))
        except TfgreenError:
            continue
    return found


def wrong_results(files: list[bytes]) -> list[bytes]:
    """Files that run on NumPy and on the reference kernels, and do not give the same."""
    alive = surviving(files)
    tasks = [Task("damaged", content, sample) for content, sample, _ in alive]
    wrong = []
    outcomes = run_tasks("reference", tasks, timeout_seconds=20)
    for (content, _, mine), outcome in zip(alive, outcomes, strict=True):
        if outcome.status == "ok" and not _same(mine, outcome.outputs):
            wrong.append(content)
    return wrong


def _same(mine: tuple[np.ndarray, ...], theirs: tuple[np.ndarray, ...]) -> bool:
    return len(mine) == len(theirs) and all(
        one.shape == other.shape
        and (
            np.allclose(one, other, rtol=1e-5, atol=1e-6, equal_nan=True)
            if one.dtype.kind == "f"
            else np.array_equal(one, other)
        )
        for one, other in zip(mine, theirs, strict=True)
    )
