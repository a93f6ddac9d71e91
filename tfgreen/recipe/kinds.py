"""Whether a value is what the table of options tells; it knows the few words of its schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tfgreen.errors import InvalidRecipeError

Schema = Mapping[str, Any]

_KINDS: Mapping[str, tuple[Any, str]] = {
    "object": (Mapping, "a table"),
    "array": (list, "a list"),
    "string": (str, "a text"),
    "integer": (int, "a whole number"),
    "number": ((int, float), "a number"),
    "boolean": (bool, "true or false"),
}
_LARGEST = 2.0**63
"""TOML's whole numbers have 64 bits."""


def check_kind(value: Any, schema: Schema, where: str) -> None:
    """Raise InvalidRecipeError for a value that the schema would refuse.

    >>> check_kind("yes", {"type": "boolean"}, "pruning.flag")
    Traceback (most recent call last):
    ...
    tfgreen.errors.InvalidRecipeError: pruning.flag received 'yes'; expected true or false.
    """
    if not fits(value, schema):
        raise InvalidRecipeError(f"{where} received {value!r}; expected {_in_words(schema)}.")


def fits(value: Any, schema: Schema) -> bool:
    """Whether the schema takes the value.

    >>> fits(3, {"type": "integer", "minimum": 1}), fits(float("nan"), {"type": "number"})
    (True, False)
    """
    return all(_answers(value, schema))


def _answers(value: Any, schema: Schema) -> Iterator[bool]:
    kind = schema.get("type")
    if kind is not None:
        is_flag = isinstance(value, bool)
        yield isinstance(value, _KINDS[kind][0]) and is_flag == (kind == "boolean")
    if "anyOf" in schema:
        yield any(fits(value, one) for one in schema["anyOf"])
    if "enum" in schema:
        yield any(value == one and type(value) is type(one) for one in schema["enum"])
    if kind in ("integer", "number"):
        yield -_LARGEST <= value < _LARGEST if kind == "integer" else abs(value) < float("inf")
        yield schema.get("minimum", value) <= value <= schema.get("maximum", value)
        yield "exclusiveMinimum" not in schema or value > schema["exclusiveMinimum"]
        yield "exclusiveMaximum" not in schema or value < schema["exclusiveMaximum"]
    if kind == "string":
        yield len(value) >= schema.get("minLength", 0)
    if kind == "array":
        yield schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        yield all(fits(one, schema.get("items", {})) for one in value)
    if kind == "object":
        yield from _of_table(value, schema)


def _of_table(table: Mapping[str, Any], schema: Schema) -> Iterator[bool]:
    known, rest = schema.get("properties", {}), schema.get("additionalProperties", {})
    yield len(table) >= schema.get("minProperties", 0)
    yield all(key in table for key in schema.get("required", ()))
    for key, one in table.items():
        yield fits(one, known[key]) if key in known else rest is not False and fits(one, rest)


def _in_words(schema: Schema) -> str:
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_in_words(one) for one in schema["anyOf"]))
    words = _KINDS[schema["type"]][1] if "type" in schema else "another value"
    if "minimum" in schema:
        words += f" from {schema['minimum']}"
    if "maximum" in schema:
        words += f" to {schema['maximum']:,}"
    if schema.get("type") == "array" and "items" in schema:
        words += f" ({_in_words(schema['items'])} each)"
    return words
