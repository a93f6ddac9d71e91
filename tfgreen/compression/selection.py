"""Layers with their place in the model, and the ways to name some of them.

A selector is

* a string: a layer's name, its path through nested models ("encoder/dense"), or a class name
  ("Conv2D");
* a class, of either Keras: it selects the layers whose class has exactly this name;
* a compiled regular expression, or a string that begins with "re:": it has to match the whole
  name or the whole path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tfgreen.errors import UnknownNameError, UsageError

Selector = str | type | re.Pattern[str]
# Not Mapping[Selector, ...]: a mapping's keys are invariant, a dict[str, float] would be none.
Shares = Mapping[Any, float]

_EXPRESSION = "re:"
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class PlacedLayer:
    """A layer of a model's graph; `path` has the names of the nested models around it."""

    path: str
    layer: Any

    @property
    def kind(self) -> str:
        """The name of the layer's class; of the Keras 3 layer that runs inside a twin's."""
        return str(getattr(self.layer, "hosted_kind", type(self.layer).__name__))


def placed_layers(model: Any) -> tuple[PlacedLayer, ...]:
    """The layers of a functional or sequential model of either Keras, inputs left out.

    Nested models are entered; a layer that is used several times comes once.
    """
    seen: set[int] = set()
    return tuple(_walk(model, "", seen))


def check_selectors(selectors: Iterable[Any], option: str) -> None:
    """Refuse what is no selector.

    Raises:
        UsageError: it names the option.
    """
    for selector in selectors:
        if not isinstance(selector, str | type | re.Pattern) or selector == "":
            raise UsageError(
                f"{option} received {selector!r} as a layer; expected its name, its class, or a "
                "compiled regular expression."
            )
        if isinstance(selector, str) and selector.startswith(_EXPRESSION):
            _compiled(selector, option)


def selected(selectors: Sequence[Selector], layers: Sequence[PlacedLayer]) -> frozenset[str]:
    """The paths of the layers that any of the selectors names.

    Raises:
        UsageError: a selector names no layer of the model.
    """
    return frozenset(placed.path for selector in selectors for placed in _require(selector, layers))


def assigned(
    values: Mapping[Selector, _Value], layers: Sequence[PlacedLayer]
) -> dict[str, tuple[_Value, bool]]:
    """The value of each layer that a selector names: path → (value, named in person).

    A path goes before a name, a name before a class, and a class before an expression; within one
    kind the first wins.

    Raises:
        UsageError: a selector names no layer of the model.
    """
    found: dict[str, tuple[int, _Value]] = {}
    for selector, value in values.items():
        for placed in _require(selector, layers):
            rank = _rank(selector, placed)
            if placed.path not in found or rank < found[placed.path][0]:
                found[placed.path] = (rank, value)
    return {path: (value, rank <= _BY_CLASS) for path, (rank, value) in found.items()}


_BY_PATH, _BY_NAME, _BY_CLASS, _BY_EXPRESSION, _NOT = range(5)


def _walk(model: Any, prefix: str, seen: set[int]) -> Iterator[PlacedLayer]:
    for layer in model.layers:
        if id(layer) in seen or type(layer).__name__ == "InputLayer":
            continue
        seen.add(id(layer))
        path = f"{prefix}{layer.name}"
        if _is_nested_model(layer):
            yield from _walk(layer, f"{path}/", seen)
        else:
            yield PlacedLayer(path, layer)


def _is_nested_model(layer: Any) -> bool:
    """Whether it has a graph of layers; a subclassed model inside a graph is one opaque layer."""
    return any(base.__name__ in ("Functional", "Sequential") for base in type(layer).__mro__)


def _require(selector: Selector, layers: Sequence[PlacedLayer]) -> list[PlacedLayer]:
    found = [placed for placed in layers if _rank(selector, placed) != _NOT]
    # A name means the layer of that name, even where a class has the same one.
    named = [placed for placed in found if _rank(selector, placed) <= _BY_NAME]
    if isinstance(selector, str) and named:
        return named
    if not found:
        known = {placed.path for placed in layers}
        if isinstance(selector, str) and not selector.startswith(_EXPRESSION):
            raise UnknownNameError("layer", selector, known | {placed.kind for placed in layers})
        name = selector.__name__ if isinstance(selector, type) else _compiled(selector).pattern
        raise UsageError(
            f"No layer of the model fits {name!r}. It has: {', '.join(sorted(known))}."
        )
    return found


def _rank(selector: Selector, placed: PlacedLayer) -> int:
    if isinstance(selector, type):
        return _BY_CLASS if selector.__name__ == placed.kind else _NOT
    if isinstance(selector, re.Pattern) or selector.startswith(_EXPRESSION):
        expression = _compiled(selector)
        names = (placed.path, placed.layer.name)
        return _BY_EXPRESSION if any(map(expression.fullmatch, names)) else _NOT
    if selector == placed.path:
        return _BY_PATH
    if selector == placed.layer.name:
        return _BY_NAME
    return _BY_CLASS if selector == placed.kind else _NOT


def _compiled(selector: str | re.Pattern[str], option: str = "A selector") -> re.Pattern[str]:
    if isinstance(selector, re.Pattern):
        return selector
    try:
        return re.compile(selector.removeprefix(_EXPRESSION))
    except re.error as error:
        raise UsageError(
            f"{option} received {selector!r}, which is no regular expression: {error}."
        ) from error
