"""Running files for a diagnosis: by NumPy, bit for bit, or by LiteRT where NumPy lacks an op."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfgreen.errors import KernelSetError, UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.reference import Interpreter
from tfgreen.runtimes import Outcome, Task, run_tasks
from tfgreen.runtimes.protocol import Capture

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

    def output(self, inputs: Sequence[np.ndarray], position: int = 0) -> np.ndarray:
        """One graph output, (N, *tensor shape).

        Raises:
            KernelSetError: LiteRT refuses the file.
        """
        if self._interpreter is not None:
            return self._interpreter.run(inputs)[position]
        return self._outcome(inputs, "outputs").outputs[position]

    def tensors(self, inputs: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
        """Every activation by tensor index, graph inputs included, each (N, *tensor shape).

        Raises:
            KernelSetError: LiteRT refuses the file.
        """
        if self._interpreter is not None:
            return self._interpreter.run_tensors(inputs)
        captured = self._outcome(inputs, "all").tensors
        return {index: np.asarray(values) for index, values in captured.items()}

    def _outcome(self, inputs: Sequence[np.ndarray], capture: Capture) -> Outcome:
        task = Task(self._name, self._content, tuple(inputs), capture=capture)
        outcome = run_tasks(_STAND_IN, [task])[0]
        if not outcome.ok:
            raise KernelSetError(f"{self._name} cannot be run: {outcome.message}")
        return outcome

    def peak_accumulator(self, inputs: Sequence[np.ndarray]) -> int | None:
        """The largest absolute accumulator of the last op; None where there is none."""
        if self._interpreter is None:
            return None
        return self._interpreter.audit(inputs)[-1].peak_accumulator
