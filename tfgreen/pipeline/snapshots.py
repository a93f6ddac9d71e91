"""All that training changes, after an epoch: weights, the optimizer, what techniques count."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_STATE, _CHECKPOINT = "state.json", "variables"


@dataclass(frozen=True)
class Snapshot:
    """A training between two epochs.

    epoch: the next one, counted from 0. history: metric → its value after each epoch so far.
    files: TensorFlow's checkpoint, file name → content.
    """

    epoch: int
    history: Mapping[str, list[float | None]]
    files: Mapping[str, bytes]

    def to_files(self) -> dict[str, bytes]:
        """The snapshot as files."""
        state = {"epoch": self.epoch, "history": dict(self.history)}
        return {**self.files, _STATE: json.dumps(state).encode()}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> Snapshot:
        """The inverse of `to_files`."""
        state = json.loads(files[_STATE])
        rest = {name: content for name, content in files.items() if name != _STATE}
        return cls(int(state["epoch"]), state["history"], rest)


def snapshot_of(wrapped: Any, epoch: int, history: Mapping[str, list[float | None]]) -> Snapshot:
    """Every variable of a model in training, and of its optimizer."""
    with tempfile.TemporaryDirectory(prefix="tfgreen-") as folder:
        _checkpoint(wrapped).write(str(Path(folder) / _CHECKPOINT))
        files = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
    return Snapshot(epoch, {name: list(values) for name, values in history.items()}, files)


def restore(wrapped: Any, snapshot: Snapshot) -> None:
    """Put every variable back into a model that was prepared and compiled in the same way."""
    wrapped.optimizer.build(wrapped.trainable_variables)
    with tempfile.TemporaryDirectory(prefix="tfgreen-") as folder:
        for name, content in snapshot.files.items():
            (Path(folder) / name).write_bytes(content)
        _checkpoint(wrapped).read(str(Path(folder) / _CHECKPOINT)).assert_existing_objects_matched()


def _checkpoint(wrapped: Any) -> Any:
    import tensorflow as tf

    return tf.train.Checkpoint(model=wrapped, optimizer=wrapped.optimizer)
