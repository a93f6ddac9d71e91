"""LiteRT's three kernel sets behind the protocol. Imported in the child only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfgreen.flatbuffer import TfliteModel
from tfgreen.runtimes.protocol import (
    Capture,
    InputSpec,
    OneByOne,
    RefusedModelError,
    output_key,
    tensor_key,
)
from tfgreen.runtimes.refusals import refusal

_RESOLVERS = {
    "reference": "BUILTIN_REF",
    "optimized": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "xnnpack": "BUILTIN",
}
_UNREADABLE_DTYPES = frozenset({"string", "resource", "variant"})


class LitertModel(OneByOne):
    """A file loaded by one of LiteRT's kernel sets."""

    def __init__(self, kernel_set: str, content: bytes, capture: Capture, threads: int) -> None:
        if capture == "all" and kernel_set == "xnnpack":
            raise RefusedModelError(
                "XNNPACK fuses ops, so that tensors between them never exist: only the outputs "
                "can be captured. Capture on the reference kernels."
            )
        from ai_edge_litert import interpreter as litert

        self._kernel_set = kernel_set
        self._captured = _activations(content) if capture == "all" else []
        try:
            self._interpreter: Any = litert.Interpreter(
                model_content=content,
                num_threads=threads,
                experimental_op_resolver_type=litert.OpResolverType[_RESOLVERS[kernel_set]],
                # Without it, the memory of a tensor that is read no more is used again, and
                # reading it returns another tensor's bytes.
                experimental_preserve_all_tensors=capture == "all",
            )
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise refusal(kernel_set, str(error)) from error
        inputs = self._interpreter.get_input_details()
        self._input_indices = [detail["index"] for detail in inputs]
        self.input_specs: Sequence[InputSpec] = [
            (tuple(d["shape"].tolist()), np.dtype(d["dtype"])) for d in inputs
        ]
        outputs = self._interpreter.get_output_details()
        self._output_indices = [detail["index"] for detail in outputs]

    def invoke(self, sample: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Run one sample from the initial state of its variables."""
        try:
            self._interpreter.reset_all_variables()
            for index, value in zip(self._input_indices, sample, strict=True):
                self._interpreter.set_tensor(index, value)
            self._interpreter.invoke()
            read = {
                output_key(position): self._interpreter.get_tensor(index)
                for position, index in enumerate(self._output_indices)
            }
        except (ValueError, RuntimeError) as error:
            raise refusal(self._kernel_set, str(error)) from error
        return read | self._captured_tensors()

    def _captured_tensors(self) -> dict[str, np.ndarray]:
        read: dict[str, np.ndarray] = {}
        for index in tuple(self._captured):
            try:
                read[tensor_key(index)] = self._interpreter.get_tensor(index)
            except ValueError:  # a type that has no NumPy array: left out, as `Outcome` says
                self._captured.remove(index)
        return read


def _activations(content: bytes) -> list[int]:
    """Graph inputs and everything that an op writes."""
    model = TfliteModel.from_bytes(content)
    written = [*model.inputs, *(index for op in model.ops for index in op.outputs)]
    return [
        index
        for index in dict.fromkeys(written)
        if model.tensors[index].dtype not in _UNREADABLE_DTYPES
    ]
