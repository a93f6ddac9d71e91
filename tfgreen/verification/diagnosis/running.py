"""Running files for a diagnosis: by NumPy, bit for bit, or by LiteRT where NumPy lacks an op."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfgreen.errors import KernelSetError, UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.reference import Interpreter
from tfgreen.runtimes import Task, run_tasks

_STAND_IN = "optimized"
"""What runs an op that the NumPy interpreter has no kernel for."""


class Runner:
    """One file, ready to run on whole batches.

    Args:
        content: The file.
        name: What messages call it.

    Raises:
        InvalidModelError: a damaged file, or one that the kernels refuse.
    """

    def __init__(self, content: bytes, name: str) -> None:
        self._content, self._name = content, name
        self._interpreter: Interpreter | None = None
        try:
            self._interpreter = Interpreter(content)
        except UnsupportedModelError:
            self.model = TfliteModel.from_bytes(content)
        else:
            self.model = self._interpreter.model

    @property
    def is_exact(self) -> bool:
        """Whether NumPy runs it, so that no kernel of a runtime can be at fault."""
        return self._interpreter is not None

    def output(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """The first graph output, (N, *tensor shape).

        Raises:
            KernelSetError: LiteRT refuses the file.
        """
        if self._interpreter is not None:
            return self._interpreter.run(inputs)[0]
        task = Task(self._name, self._content, tuple(inputs))
        outcome = run_tasks(_STAND_IN, [task])[0]
        if not outcome.ok:
            raise KernelSetError(f"{self._name} cannot be run: {outcome.message}")
        return outcome.outputs[0]

    def tensors(self, inputs: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
        """Every activation by tensor index, graph inputs included, each (N, *tensor shape).

        Raises:
            KernelSetError: LiteRT refuses the file.
        """
        if self._interpreter is not None:
            return self._interpreter.run_tensors(inputs)
        task = Task(self._name, self._content, tuple(inputs), capture="all")
        outcome = run_tasks(_STAND_IN, [task])[0]
        if not outcome.ok:
            raise KernelSetError(f"{self._name} cannot be run: {outcome.message}")
        return {index: np.asarray(values) for index, values in outcome.tensors.items()}
