"""TensorFlow Lite Micro behind the protocol. Imported in the child only.

The runtime tells what went wrong, and how much of its arena it uses, on the C++ side's standard
error alone; the child's standard error is a file, from which both are read back.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfgreen.flatbuffer import TfliteModel
from tfgreen.runtimes.protocol import (
    Capture,
    InputSpec,
    OneByOne,
    RefusedModelError,
    UnregisteredOpError,
    output_key,
)
from tfgreen.runtimes.refusals import refusal

_STDERR = 2
_ARENA_STEP_BYTES = 16
_LARGEST_ARENA_BYTES = 1 << 30
_TOO_SMALL = re.compile(r"Failed to (?:resize buffer|allocate)|Requested: \d+, available \d+")
_ARENA_PART = re.compile(r"Arena allocation (total|head) (\d+) bytes")


class MicroModel(OneByOne):
    """A file loaded by TensorFlow Lite Micro, in an arena that is grown until it loads."""

    def __init__(self, content: bytes, capture: Capture) -> None:
        if capture == "all":
            raise RefusedModelError(
                "TensorFlow Lite Micro overwrites its tensors: only the outputs can be captured. "
                "Capture on the reference kernels."
            )
        self._content = content
        self._facts = TfliteModel.from_bytes(content)
        _refuse_external_constants(self._facts)
        self._interpreter = self._load_in_growing_arena()
        details = [self._interpreter.get_input_details(i) for i in range(len(self._facts.inputs))]
        self.input_specs: Sequence[InputSpec] = [
            (tuple(d["shape"].tolist()), np.dtype(d["dtype"])) for d in details
        ]

    def invoke(self, sample: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Run one sample from the initial state of its variables."""
        mark = _stderr_position()
        try:
            self._interpreter.reset()
            for position, value in enumerate(sample):
                self._interpreter.set_input(value, position)
            self._interpreter.invoke()
            return {
                output_key(position): self._interpreter.get_output(position)
                for position in range(len(self._facts.outputs))
            }
        except (ValueError, RuntimeError) as error:
            raise self._refusal(error, _stderr_since(mark)) from error

    def arena_bytes(self) -> int | None:
        """Bytes in use, on this 64-bit host; a 32-bit target's are somewhat fewer."""
        return self._arena_parts.get("total")

    def arena_head_bytes(self) -> int | None:
        """Bytes that activations and working memory share."""
        return self._arena_parts.get("head")

    def arena_to_load_bytes(self) -> int:
        """The smallest arena in which the model loads, by bisection in steps of 16 bytes."""
        too_small = (self.arena_bytes() or 0) // _ARENA_STEP_BYTES - 1
        enough = _first_arena_bytes(self._facts) // _ARENA_STEP_BYTES
        while not self._loads(enough * _ARENA_STEP_BYTES):
            too_small, enough = enough, 2 * enough
        while enough - too_small > 1:
            middle = (too_small + enough) // 2
            if self._loads(middle * _ARENA_STEP_BYTES):
                enough = middle
            else:
                too_small = middle
        return enough * _ARENA_STEP_BYTES

    @functools.cached_property
    def _arena_parts(self) -> dict[str, int]:
        """What the runtime prints about its arena; loading fixes it."""
        mark = _stderr_position()
        self._interpreter.print_allocations()
        return {part: int(size) for part, size in _ARENA_PART.findall(_stderr_since(mark))}

    def _load_in_growing_arena(self) -> Any:
        arena_bytes = _first_arena_bytes(self._facts)
        while True:
            mark = _stderr_position()
            try:
                return self._load(arena_bytes)
            except (ValueError, RuntimeError) as error:
                told = _stderr_since(mark)
                if not _TOO_SMALL.search(told) or 2 * arena_bytes > _LARGEST_ARENA_BYTES:
                    raise self._refusal(error, told) from error
            arena_bytes *= 2

    def _loads(self, arena_bytes: int) -> bool:
        """Try it in a forked process: TFLM aborts when some of its temporary buffers do not fit."""
        process_id = os.fork()
        if process_id == 0:
            loaded = False
            try:
                self._load(arena_bytes)
                loaded = True
            finally:
                os._exit(0 if loaded else 1)
        return os.waitpid(process_id, 0)[1] == 0

    def _load(self, arena_bytes: int) -> Any:
        from tflite_micro.python.tflite_micro import runtime

        return runtime.Interpreter.from_bytes(self._content, arena_size=arena_bytes)

    def _refusal(self, error: Exception, told: str) -> UnregisteredOpError | RefusedModelError:
        custom = [op.name for op in self._facts.ops if op.name.startswith(("CUSTOM:", "FLEX:"))]
        if custom and "registration from op code CUSTOM" in told:
            kind, _, name = custom[0].partition(":")
            return UnregisteredOpError(f"The micro kernels have no {kind.lower()} op {name}.")
        return refusal("micro", told or str(error))


def _first_arena_bytes(facts: TfliteModel) -> int:
    """An arena that is enough for nearly every model, a multiple of 16.

    Activations twice over (no more than once, if the planner shares none of it, and as much for
    scratch buffers), plus what each tensor, op and channel needs for its bookkeeping.
    """
    activations = sum(4 * tensor.value_count for tensor in facts.tensors if not tensor.is_constant)
    bookkeeping = 512 * (len(facts.tensors) + len(facts.ops)) + len(facts.content) // 4
    needed = (1 << 16) + 2 * activations + bookkeeping
    return min(needed, _LARGEST_ARENA_BYTES) // _ARENA_STEP_BYTES * _ARENA_STEP_BYTES


def _refuse_external_constants(facts: TfliteModel) -> None:
    outside = [tensor.name for tensor in facts.tensors if tensor.is_external]
    if outside:
        raise RefusedModelError(
            f"The constant {outside[0]} lies outside the flatbuffer, where TensorFlow Lite Micro "
            "reads nothing and says nothing. tfgreen.flatbuffer.inline_external_buffers moves it."
        )


def _stderr_position() -> int:
    return os.fstat(_STDERR).st_size


def _stderr_since(position: int) -> str:
    size = os.fstat(_STDERR).st_size - position
    return os.pread(_STDERR, size, position).decode("utf-8", "replace")
