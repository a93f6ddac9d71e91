"""What `tg.fit` was asked for, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tfgreen.errors import UsageError
from tfgreen.training.budget import Budget
from tfgreen.training.budget_callback import BudgetCallback

_DATA = ("x", "y", "sample_weight")
_MOST_SEED = 2**32 - 1


def watch_for(
    budget: Budget | BudgetCallback | None, metric: str | None, *, evaluated: bool
) -> BudgetCallback:
    """The callback that follows the metric, with or without limits.

    evaluated: whether there are validation data.

    Raises UsageError for what is no budget, for two metrics, and for one that nothing measures.
    """
    given = budget if budget is not None else Budget()
    if not isinstance(given, Budget | BudgetCallback):
        raise UsageError(
            f"Received budget={given!r}; expected tg.Budget(joules=...), say, or its callback."
        )
    rules = given.budget if isinstance(given, BudgetCallback) else given
    known = rules.metric if isinstance(given, BudgetCallback) else rules.metric or metric
    if metric is not None and known != metric:
        raise UsageError(
            f"Received metric='{metric}' and a budget for '{known or 'the loss'}'. Name one of "
            "the two, in the budget where its callback is given."
        )
    name = known or ("val_loss" if evaluated else None)
    if name is not None and name.startswith("val_") and not evaluated:
        raise UsageError(f"Received the metric '{name}' without validation_data. Give both.")
    return given if isinstance(given, BudgetCallback) else replace(given, metric=name).callback()


def check_numbers(epochs: int, initial_epoch: int, batch_size: int, seed: int | None) -> None:
    """Raise UsageError for epochs, a batch size or a seed that cannot be."""
    if not (_is_whole(epochs) and _is_whole(initial_epoch) and 0 <= initial_epoch < epochs):
        raise UsageError(
            f"Received epochs={epochs} and initial_epoch={initial_epoch}; expected at least one "
            "epoch, and a first one before the last."
        )
    if not (_is_whole(batch_size) and batch_size >= 1):
        raise UsageError(f"Received batch_size={batch_size}; expected a whole number from 1 on.")
    if seed is not None and not (_is_whole(seed) and 0 <= seed <= _MOST_SEED):
        raise UsageError(
            f"Received seed={seed}; expected a whole number from 0 to {_MOST_SEED}, or None."
        )


def check_further(fit_arguments: Mapping[str, Any]) -> None:
    """Raise UsageError for data beside `data`."""
    for name in _DATA:
        if name in fit_arguments:
            raise UsageError(f"Received {name}= beside the data. Give all as data=(x, y, weights).")


def in_own_order(fit_arguments: Mapping[str, Any]) -> bool:
    """Whether `tg.fit` may order arrays: not where Keras splits them, or must not shuffle."""
    return bool(fit_arguments.get("shuffle", True)) and not fit_arguments.get("validation_split")


def _is_whole(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)
