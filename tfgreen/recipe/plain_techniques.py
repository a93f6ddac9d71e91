"""Techniques as plain values and back: what a TOML table can hold, and nothing else."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfgreen.compression.clustering.clustering import Clustering
from tfgreen.compression.distillation.distillation import Distillation
from tfgreen.compression.distillation.teachers import MovingAverage
from tfgreen.compression.pruning.pruning import Pruning
from tfgreen.compression.quantization.quantization import QuantizationAwareTraining
from tfgreen.errors import InvalidRecipeError, UnknownNameError, UsageError
from tfgreen.recipe.kinds import Schema, check_kind
from tfgreen.recipe.options import TECHNIQUES

CLASSES: dict[str, Any] = {
    "pruning": Pruning,
    "clustering": Clustering,
    "quantization_aware_training": QuantizationAwareTraining,
    "distillation": Distillation,
}
_AVERAGE = "moving_average"
_NEVER = 1.0


def name_of(technique: object) -> str:
    """The name of a technique in recipes. Raises UsageError for anything else."""
    for name, kind in CLASSES.items():
        if type(technique) is kind:
            return name
    raise UsageError(
        f"A stage received {technique!r} as a technique; expected one of "
        f"{', '.join(kind.__name__ for kind in CLASSES.values())}."
    )


def settled(technique: Any) -> Any:
    """The technique with nothing in it that a TOML file could not say.

    Classes and expressions become the texts that select the same layers.

    Raises:
        UsageError: a model, a function or a schedule object.

    >>> import re
    >>> settled(Pruning(sparsity={re.compile("block_.*"): 0.5})).sparsity
    mappingproxy({'re:block_.*': 0.5})
    """
    where = name_of(technique)
    options = {
        field.name: _settled(getattr(technique, field.name), f"{where}.{field.name}")
        for field in dataclasses.fields(technique)
    }
    if where == "quantization_aware_training" and options["freeze_batch_norm_after"] is None:
        options["freeze_batch_norm_after"] = _NEVER  # TOML has no null
    return dataclasses.replace(technique, **options)


def to_plain(technique: Any) -> dict[str, Any]:
    """What differs from the defaults, as TOML holds it."""
    return {
        field.name: _plain(value)
        for field in dataclasses.fields(technique)
        if (value := getattr(technique, field.name)) != _default(field)
    }


def from_plain(name: str, options: Any, where: str) -> Any:
    """The technique of a table.

    Raises:
        UnknownNameError: a key or a value that is not known; it tells the closest.
        InvalidRecipeError: a value of the wrong kind.
    """
    known = TECHNIQUES[name]
    require_table(options, where)
    for key, value in options.items():
        check_key(key, known, where)
        check_choice(value, known[key], f"{where}.{key}")
    try:
        given = {key: _from_toml(key, value, where) for key, value in options.items()}
        technique = CLASSES[name](**given)
    except (TypeError, OverflowError, UsageError) as error:
        raise InvalidRecipeError(f"In {where}: {error}") from error
    for key, value in options.items():
        check_kind(value, known[key], f"{where}.{key}")
    return technique


def in_words(technique: Any) -> str:
    """One line for people.

    >>> in_words(Pruning(sparsity=0.6))
    'pruning: sparsity 0.6'
    """
    options = to_plain(technique)
    told = ", ".join(f"{key} {value}" for key, value in options.items())
    name = name_of(technique).replace("_", " ").replace("quantization aware", "quantization-aware")
    return f"{name}: {told}" if told else name


def require_table(value: Any, where: str) -> None:
    """Raise InvalidRecipeError for anything but a table."""
    if not isinstance(value, Mapping):
        raise InvalidRecipeError(f"{where} received {value!r}; expected a table of options.")


def check_key(key: str, known: Mapping[str, Any], where: str) -> None:
    """Raise UnknownNameError, with the closest known one, for a key that there is not."""
    if key not in known:
        raise UnknownNameError(f"key in {where}:", key, known)


def check_choice(value: Any, schema: Schema, where: str) -> None:
    """Raise UnknownNameError for a text that is none of the known values."""
    choices = schema.get("enum")
    if choices and isinstance(value, str) and value not in choices:
        raise UnknownNameError(f"value of {where}:", value, map(str, choices))


def _settled(value: Any, where: str) -> Any:
    if value is None or isinstance(value, str | int | float | MovingAverage):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, re.Pattern) and value.flags == re.UNICODE:
        return f"re:{value.pattern}"
    if isinstance(value, Mapping):
        return {_settled(key, where): _settled(one, where) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_settled(one, where) for one in value)
    hint = "numbers, names and tables of those"
    if where == "distillation.teacher":
        hint = 'a name: teacher="large" with teachers={"large": model} given to tg.compress'
    raise UsageError(
        f"{where} received a {type(value).__name__}, which no recipe file can hold; "
        f"expected {hint}."
    )


def _plain(value: Any) -> Any:
    if isinstance(value, MovingAverage):
        return {_AVERAGE: value.decay}
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def _from_toml(key: str, value: Any, where: str) -> Any:
    if key == "teacher" and isinstance(value, Mapping) and set(value) == {_AVERAGE}:
        return MovingAverage(value[_AVERAGE])
    if isinstance(value, list):
        return tuple(_from_toml(key, one, where) for one in value)
    if isinstance(value, str | int | float | Mapping):
        return value
    raise InvalidRecipeError(
        f"{where}.{key} received {value!r}; expected numbers, texts or tables."
    )


def _default(field: dataclasses.Field[Any]) -> Any:
    return None if field.default is dataclasses.MISSING else field.default
