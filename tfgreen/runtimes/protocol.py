"""What goes to a kernel set and what comes back: the types that parent and child share."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from tfgreen.reference import Rounding

KERNEL_SETS = ("reference", "optimized", "xnnpack", "micro", "numpy")
"""Every kernel set, the reference first."""

Capture = Literal["outputs", "all"]
InputSpec = tuple[tuple[int, ...], np.dtype]
"""Shape and dtype that a graph input takes."""

Status = Literal["ok", "unregistered", "failed", "crashed", "timed-out"]


@dataclass(frozen=True, eq=False)
class Task:
    """One file to run on some samples.

    Attributes:
        name: What messages call it: the model's or the op's name.
        content: The .tflite file.
        inputs: One array for each graph input, in graph order, each of shape
            (N, *tensor shape) and of the tensor's own dtype (so already quantized). N is the
            number of samples; each is run alone, with the model's variables reset before it.
        capture: "all" also brings back every activation tensor; not on xnnpack, whose fused
            tensors never exist, nor on micro.
        measure_loading_arena: Also find the smallest arena in which the model loads (micro only;
            a dozen more loads).
        rounding: numpy: whose integers to reproduce; the others have their own.
    """

    name: str
    content: bytes
    inputs: tuple[np.ndarray, ...]
    capture: Capture = "outputs"
    measure_loading_arena: bool = False
    rounding: Rounding = "reference"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of a task.

    Attributes:
        status: "ok"; "unregistered": the kernel set has no kernel for an op, or none for its
            types or version; "failed": it refused the file or the inputs; "crashed": the process
            died; "timed-out": it was killed.
        message: One sentence about what went wrong; empty when ok.
        outputs: One array for each graph output, (N, *tensor shape); empty unless ok.
        tensors: With capture "all", tensor index to (N, *tensor shape) for every activation,
            graph inputs included; read-only views of a mapped file. Tensors that a runtime cannot
            show (strings, resources) are left out.
        arena_bytes: micro: bytes of the arena in use after loading, as the runtime counts them.
        arena_head_bytes: micro: how much of it holds activations and working memory, which share
            their space; the rest, the tail, is what has to be kept for the model's whole life.
        arena_to_load_bytes: micro, with `measure_loading_arena`: the smallest arena, in steps of
            16 bytes, in which loading succeeds; more than `arena_bytes`, since loading needs
            temporary memory.
        peak_accumulator: numpy: the largest absolute sum that any op accumulated; None where none
            does.
        seconds: Wall time in the child: loading and all samples.
    """

    status: Status
    message: str = ""
    outputs: tuple[np.ndarray, ...] = ()
    tensors: Mapping[int, np.ndarray] = field(default_factory=lambda: types.MappingProxyType({}))
    arena_bytes: int | None = None
    arena_head_bytes: int | None = None
    arena_to_load_bytes: int | None = None
    peak_accumulator: int | None = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether every sample ran."""
        return self.status == "ok"


@dataclass(frozen=True)
class Availability:
    """Whether a kernel set can run here; `reason` says why not, with the pip line."""

    available: bool
    version: str | None
    reason: str = ""


class UnregisteredOpError(Exception):
    """Inside the child: the kernel set has no kernel for an op."""


class RefusedModelError(Exception):
    """Inside the child: the kernel set cannot run this file or these inputs."""


class LoadedModel(Protocol):
    """Inside the child: a model that a kernel set has loaded. All of them look like this.

    `arena_bytes`, `arena_head_bytes` and `arena_to_load_bytes` are None for runtimes that have no
    arena, `peak_accumulator` for those that do not show their sums.
    """

    input_specs: Sequence[InputSpec]

    def invoke_each(
        self, arrays: Sequence[np.ndarray], sample_count: int
    ) -> Iterator[dict[str, np.ndarray]]:
        """Run every sample; keys are "output <position>" and "tensor <index>"."""
        ...

    def arena_bytes(self) -> int | None:
        """Bytes of the arena in use."""
        return None

    def arena_head_bytes(self) -> int | None:
        """Bytes of it that activations and working memory share."""
        return None

    def arena_to_load_bytes(self) -> int | None:
        """The smallest arena in which the model loads."""
        return None

    def peak_accumulator(self) -> int | None:
        """The largest absolute sum so far."""
        return None


class OneByOne(LoadedModel, Protocol):
    """A model that runs one sample at a time."""

    def invoke(self, sample: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Run one sample."""
        ...

    def invoke_each(
        self, arrays: Sequence[np.ndarray], sample_count: int
    ) -> Iterator[dict[str, np.ndarray]]:
        """Run every sample, one after the other."""
        for position in range(sample_count):
            yield self.invoke([np.ascontiguousarray(array[position]) for array in arrays])


def output_key(position: int) -> str:
    """Key of a graph output in what `LoadedModel.invoke_each` yields."""
    return f"output {position}"


def tensor_key(index: int) -> str:
    """Key of a captured tensor in what `LoadedModel.invoke_each` yields."""
    return f"tensor {index}"
