"""The options of `Pruning`, checked when it is built."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfgreen.compression.pruning.masks import THRESHOLD_UNITS
from tfgreen.compression.pruning.schedules import SCHEDULES
from tfgreen.compression.selection import check_selectors
from tfgreen.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from tfgreen.compression.pruning.pruning import Pruning

_SCOPES = ("layer", "global")
_POOLINGS = ("average", "maximum")
_PATTERN = re.compile(r"([1-9]\d*):([1-9]\d*)")


def check_options(technique: Pruning) -> None:
    """Raise UsageError for the first option, or combination of options, that is off."""
    _check_amount(technique)
    _check_schedule(technique)
    _choose(technique.scope, _SCOPES, "scope")
    _choose(technique.block_pooling, _POOLINGS, "block pooling")
    if technique.scope == "global" and not isinstance(technique.sparsity, int | float):
        raise UsageError(
            "Pruning received scope='global', which ranks all layers together to reach one "
            "sparsity. Give a number as sparsity, without threshold, pattern or targets by layer."
        )
    check_selectors(technique.skip, "skip")
    _check_pattern(technique)
    _check_block(technique)


def check_threshold(threshold: Any, unit: str, name: str = "threshold") -> None:
    """Refuse a threshold, or thresholds by layer, that is none in this unit."""
    _choose(unit, THRESHOLD_UNITS, "threshold unit")
    largest = 1.0 if unit == "quantile" else math.inf
    for value in _values(threshold, name):
        if not _is_number(value) or not 0 <= value < largest:
            expected = "a share from 0 to below 1" if unit == "quantile" else "a number from 0 on"
            raise UsageError(f"{name} received {value!r}; expected {expected} ({unit}).")


def check_sparsity(value: Any, name: str) -> None:
    """Refuse what is no share of weights to remove."""
    if not _is_number(value) or not 0 <= value < 1:
        hint = ": 1 would leave no weight at all" if value == 1 else ""
        raise UsageError(
            f"{name} received {value!r}; expected a share of weights from 0 to below 1{hint}."
        )


def zeros_and_length(pattern: str) -> tuple[int, int]:
    """How many of how many neighbours become zero.

    >>> zeros_and_length("1:4")
    (3, 4)
    """
    kept, length = map(int, pattern.split(":"))
    return length - kept, length


def _check_amount(technique: Pruning) -> None:
    given = [
        name
        for name in ("sparsity", "threshold", "pattern")
        if getattr(technique, name) is not None
    ]
    own = technique.has_own_schedule
    if len(given) != 1 and not (own and not given):
        raise UsageError(
            f"Pruning received {' and '.join(given) or 'none of them'}; expected exactly one of "
            "sparsity, threshold and pattern."
        )
    if own and given:
        raise UsageError(
            f"Pruning received {given[0]} and a schedule of TensorFlow Model Optimization, which "
            "has its own sparsity. Leave one of them out."
        )
    for value in _values(technique.sparsity, "sparsity"):
        check_sparsity(value, "sparsity")
    check_threshold(technique.threshold, technique.threshold_unit)
    if technique.threshold is None and technique.threshold_unit != "absolute":
        raise UsageError("Pruning received a threshold_unit without a threshold.")


def _check_schedule(technique: Pruning) -> None:
    _check_share(technique.begin, "begin")
    _check_share(technique.end, "end")
    if technique.begin >= technique.end:
        raise UsageError(
            f"Pruning received begin={technique.begin:g} and end={technique.end:g}; expected "
            "begin before end, both as shares of training from 0 to 1."
        )
    for name in ("frequency", "training_steps"):
        value = getattr(technique, name)
        is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        if value is not None and not is_count:
            raise UsageError(f"{name} received {value!r}; expected steps, 1 or more.")
    check_sparsity(technique.initial_sparsity, "initial_sparsity")
    if technique.has_own_schedule:
        _check_own_schedule(technique)
        return
    _choose(technique.schedule_name, SCHEDULES, "schedule")
    if technique.initial_sparsity and technique.schedule_name == "constant":
        raise UsageError("initial_sparsity has no meaning with the constant schedule.")
    for target in _values(technique.sparsity, "sparsity"):
        if 0 < target <= technique.initial_sparsity:
            raise UsageError(
                f"initial_sparsity received {technique.initial_sparsity:g}; expected less than "
                f"the sparsity in the end, {target:g}."
            )

    if technique.prunes_at_once:
        reason = "a threshold that takes effect at once. Give a schedule for one that does not"
        _refuse_settings(technique, reason)


def _check_own_schedule(technique: Pruning) -> None:
    schedule = technique.schedule
    if not callable(schedule) or not hasattr(schedule, "get_config"):
        raise UsageError(
            f"schedule received {schedule!r}; expected one of {', '.join(SCHEDULES)}, or a "
            "schedule object of TensorFlow Model Optimization."
        )
    _refuse_settings(technique, "a schedule object, which counts steps")


def _check_pattern(technique: Pruning) -> None:
    pattern = technique.pattern
    if pattern is None:
        return
    found = _PATTERN.fullmatch(pattern) if isinstance(pattern, str) else None
    if found is None or int(found[1]) >= int(found[2]):
        raise UsageError(
            f"pattern received {pattern!r}; expected how many weights stay of how many "
            "neighbours, as '2:4'."
        )
    if technique.schedule is not None:
        raise UsageError("A pattern takes its masks in the first step: leave schedule out.")
    _refuse_settings(technique, "a pattern, which takes its masks in the first step")


def _check_block(technique: Pruning) -> None:
    block = technique.block_size
    if len(block) != 2 or not all(isinstance(size, int) and size > 0 for size in block):
        raise UsageError(f"block_size received {block!r}; expected (rows, columns), both positive.")
    if block != (1, 1) and (technique.sparsity is None or technique.scope == "global"):
        raise UsageError(
            "Blocks are pruned to a sparsity within each layer: leave threshold, pattern and "
            "scope='global' out."
        )


def _refuse_settings(technique: Pruning, reason: str) -> None:
    defaults = type(technique).__dataclass_fields__
    for name in ("begin", "end", "frequency", "training_steps", "initial_sparsity"):
        if getattr(technique, name) != defaults[name].default:
            raise UsageError(f"Pruning received {name} and {reason}: leave {name} out.")


def _check_share(value: Any, name: str) -> None:
    if not _is_number(value) or not 0 <= value <= 1:
        raise UsageError(f"{name} received {value!r}; expected a share of training from 0 to 1.")


def _values(value: Any, name: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, Mapping):
        return [value]
    if not value:
        raise UsageError(f"{name} received an empty mapping; expected layers and their values.")
    check_selectors(value, name)
    return list(value.values())


def _is_number(value: Any) -> bool:
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and math.isfinite(value)


def _choose(value: Any, known: tuple[str, ...], noun: str) -> None:
    if value not in known:
        raise UnknownNameError(noun, str(value), known)
