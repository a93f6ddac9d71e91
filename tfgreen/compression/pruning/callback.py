"""The callback that tells the wrappers when training begins, and how long it will be."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from tfgreen.compression.technique import is_prepared_by, state_of
from tfgreen.errors import UsageError
from tfgreen.models.keras2 import model_optimization

if TYPE_CHECKING:
    from tfgreen.compression.pruning.pruning import Pruning
    from tfgreen.compression.pruning.state import PruningState


def pruning_callback(technique: Pruning) -> Any:
    """A tf_keras callback for one `fit` of a model that the technique prepared.

    It also serves a model around the prepared one, as a distiller.
    """
    return _callback_class()(technique)


@cache
def _callback_class() -> type:
    update_step: Any = model_optimization().sparsity.keras.UpdatePruningStep

    class PruningStep(update_step):  # type: ignore[misc]
        """Sets the schedule in the first epoch, when the length of training is known."""

        def __init__(self, technique: Pruning) -> None:
            super().__init__()
            self._technique = technique
            self._states: list[PruningState] = []

        def on_train_begin(self, logs: Any = None) -> None:
            super().on_train_begin(logs)
            self._states = list(_states_in(self.model, self._technique))
            for state in self._states:
                if _needs_length(state, self._technique):
                    self._steps(0)

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            super().on_epoch_begin(epoch, logs)
            for state in self._states:
                if not state.is_scheduled:
                    self._schedule(state, epoch)

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            super().on_train_batch_begin(batch, logs)
            at_once = getattr(self.model, "_steps_per_execution", None)
            at_once = 1 if at_once is None else int(at_once.numpy())
            for state in self._states:
                if state.ranking is not None:
                    state.rank(state.steps_done + 1, state.steps_done + at_once)

        def _schedule(self, state: PruningState, epoch: int) -> None:
            if _needs_length(state, self._technique):
                state.schedule_for(self._technique, self._steps(epoch))
            elif not isinstance(self._technique.schedule, str | None):
                state.follow(self._technique.schedule)
            # The step of an earlier training has the earlier schedule in its graph.
            if getattr(self.model, "train_function", None) is not None:
                self.model.make_train_function(force=True)

        def _steps(self, epoch: int) -> int:
            if self._technique.training_steps is not None:
                return self._technique.training_steps
            epochs, steps = _length(self.params)
            return (epochs - epoch) * steps

    return PruningStep


def _needs_length(state: PruningState, technique: Pruning) -> bool:
    return not state.is_scheduled and technique.is_scheduled_by_length


def _length(params: dict[str, Any]) -> tuple[int, int]:
    """Epochs, and steps in each of them."""
    epochs, steps = params.get("epochs"), params.get("steps")
    if not epochs or not steps:
        raise UsageError(
            "Nobody knows how many steps this training has (a generator or a dataset of unknown "
            "length), and Pruning begins and ends at a share of them. Give fit steps_per_epoch, "
            "or Pruning its training_steps."
        )
    return int(epochs), int(steps)


def _states_in(model: Any, technique: Pruning) -> Iterator[PruningState]:
    for module in (model, *model.submodules):
        if is_prepared_by(module, technique):
            yield state_of(module, technique)
