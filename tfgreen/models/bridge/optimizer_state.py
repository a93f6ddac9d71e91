"""What an optimizer has gathered so far, from one to another of the same kind."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

_NOT_STATE = (
    "_iterations",
    "_learning_rate",
    "_current_learning_rate",
    "_variables",
    "_trainable_variables",
)
_EXCLUSIONS = (
    "_exclude_from_weight_decay",
    "_exclude_from_weight_decay_pattern",
    "_exclude_from_weight_decay_names",
)


def carry_state(source: Any, target: Any) -> None:
    """Carry an optimizer's step count, moments and exclusions from model to model.

    source, target: compiled models of either flavour, with optimizers of the same kind. Moments
    go over where the trainable variables have the same shapes in the same order.
    """
    ours, theirs = source.trainable_variables, target.trainable_variables
    from_, to = _inner(source.optimizer), _inner(target.optimizer)
    agree = [tuple(v.shape) for v in ours] == [tuple(v.shape) for v in theirs]
    _carry_exclusions(from_, to, ours, theirs if agree else None)
    if agree and _is_built(source.optimizer):
        target.optimizer.build(theirs)
        _copy_moments(from_, to)
    _step_count(to).assign(int(np.asarray(_step_count(from_))))


def _step_count(optimizer: Any) -> Any:
    """Of batches: `iterations` of Keras 3 counts groups of them when gradients are accumulated."""
    own = getattr(optimizer, "_iterations", None)
    return optimizer.iterations if own is None else own


def _inner(optimizer: Any) -> Any:
    """The optimizer inside a LossScaleOptimizer and inside one that runs Keras 3's."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    return getattr(optimizer, "hosted", optimizer)


def _is_built(optimizer: Any) -> bool:
    inner = _inner(optimizer)
    return bool(getattr(inner, "built", False) or getattr(inner, "_built", False))


def _copy_moments(source: Any, target: Any) -> None:
    for name, value in vars(source).items():
        if name in _NOT_STATE:
            continue
        other = _attribute(target, name)
        values, others = _variables(value), _variables(other)
        if len(values) == len(others):
            for one, two in zip(values, others, strict=True):
                if tuple(one.shape) == tuple(two.shape):
                    two.assign(np.asarray(one))


def _attribute(optimizer: Any, name: str) -> Any:
    """Of the same name; Lion's moments have an underscore in one flavour only."""
    names = (name, name.removeprefix("_"), f"_{name}")
    return next((vars(optimizer)[n] for n in names if n in vars(optimizer)), None)


def _variables(value: Any) -> Sequence[Any]:
    if hasattr(value, "assign"):
        return [value]
    is_list = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    return value if is_list and all(hasattr(part, "assign") for part in value) else []


def _carry_exclusions(source: Any, target: Any, ours: Any, theirs: Any | None) -> None:
    """Which variables weight decay leaves out: told one by one, since their names differ."""
    if not any(getattr(source, name, None) for name in _EXCLUSIONS):
        return
    if theirs is None:
        warnings.warn(
            "The optimizer leaves variables out of its weight decay; the model's variables have "
            "changed, so that weight decay now works on all of them. Compile it again.",
            stacklevel=4,
        )
        return
    pairs = zip(ours, theirs, strict=True)
    target.exclude_from_weight_decay([v for u, v in pairs if not source._use_weight_decay(u)])
