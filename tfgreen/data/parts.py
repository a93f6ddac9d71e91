"""What is input, what is label: the one convention that archives, dicts, pairs and batches share.

A mapping's keys are the model's input names, or `x` for a single input; labels are `y`, or
`y_<output>`; `labels` names the classes. Anything else is refused with the list.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tfgreen.errors import InvalidDataError
from tfgreen.signature import InputSpec

_SPLIT_NAME = re.compile(r"(x|y)_(train|test|val|valid|validation|calib|calibration)")


@dataclass(frozen=True, eq=False)
class Parts:
    """Arrays sorted into inputs and labels, and the class names if they were given."""

    inputs: dict[str, np.ndarray]
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    label_names: tuple[str, ...] | None = None


def parts_of(
    value: Any,
    source: str,
    inputs: Sequence[InputSpec] | None = None,
    outputs: Sequence[str] = (),
) -> Parts:
    """Sort an array, a mapping, a pair (x, y) or a list of one array into inputs and labels.

    In a pair, x may be a mapping of inputs and y one of outputs. Raises InvalidDataError for
    anything else, above all for lists of several arrays: inputs are never told by their order.
    """
    if isinstance(value, Mapping):
        return split_keys(value, source, inputs, outputs)
    if isinstance(value, tuple | list):
        if len(value) == 1:
            return parts_of(value[0], source, inputs, outputs)
        if isinstance(value, tuple) and len(value) == 2:
            return Parts(_input_arrays(value[0], source), _label_arrays(value[1], source, outputs))
        raise InvalidDataError(
            f"{source} gives a {type(value).__name__} of {len(value)} values; expected x, a pair "
            "(x, y), or a dict of arrays by input name: several inputs are told apart by their "
            "names, never by order, and sample weights are not used."
        )
    return Parts({"x": as_array(value, "x", source)})


def split_keys(
    arrays: Mapping[Any, Any],
    source: str,
    inputs: Sequence[InputSpec] | None = None,
    outputs: Sequence[str] = (),
) -> Parts:
    """Sort the keys of a mapping; without `inputs` every key that is no label is an input.

    >>> split_keys({"x": np.zeros(2), "y": np.ones(2)}, "a.npz").labels
    {'y': array([1., 1.])}
    """
    names = {spec.name for spec in inputs or ()}
    if not arrays:
        raise InvalidDataError(f"{source} holds no arrays. {_expected(inputs, outputs)}")
    input_arrays: dict[str, np.ndarray] = {}
    labels: dict[str, np.ndarray] = {}
    label_names: tuple[str, ...] | None = None
    for key, value in arrays.items():
        output = _labelled_output(str(key), outputs)
        if key in names or (key == "x" and (inputs is None or len(inputs) == 1)):
            input_arrays[key] = as_array(value, key, source)
        elif key == "labels":
            label_names = _class_names(value, source)
        elif output is not None:
            labels[output] = as_array(value, key, source)
        elif inputs is None and not _SPLIT_NAME.fullmatch(str(key)):
            input_arrays[str(key)] = as_array(value, key, source)
        else:
            raise _unexpected(key, arrays, source, inputs, outputs)
    if not input_arrays:
        found = ", ".join(map(str, arrays))
        raise InvalidDataError(
            f"{source} holds no input (keys found: {found}). {_expected(inputs, outputs)}"
        )
    return Parts(input_arrays, labels, label_names)


def as_array(value: Any, name: str, source: str) -> np.ndarray:
    """A NumPy array of an array, a tensor of any framework, or nested lists of numbers."""
    try:
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InvalidDataError(
            f"'{name}' in {source} is {type(value).__name__} and no array: {error}. Expected one "
            "array whose first dimension counts the samples."
        ) from error


def _input_arrays(value: Any, source: str) -> dict[str, np.ndarray]:
    if isinstance(value, Mapping):
        return {str(name): as_array(array, name, source) for name, array in value.items()}
    return parts_of([value], source).inputs


def _label_arrays(value: Any, source: str, outputs: Sequence[str]) -> dict[str, np.ndarray]:
    if isinstance(value, Mapping):
        found = {str(name): as_array(array, name, source) for name, array in value.items()}
        unknown = sorted(set(found) - set(outputs)) if outputs else []
        if unknown:
            raise InvalidDataError(
                f"{source} labels '{unknown[0]}', which is no output of the model. "
                f"Outputs: {', '.join(outputs)}."
            )
        return found
    return {"y": as_array(value, "y", source)}


def _labelled_output(key: str, outputs: Sequence[str]) -> str | None:
    """The output that a key labels: "y" itself, or what follows `y_`; None for other keys."""
    if key == "y":
        return "y"
    output = key.removeprefix("y_")
    if output == key or (outputs and output not in outputs):
        return None
    return output if outputs or not _SPLIT_NAME.fullmatch(key) else None


def _class_names(value: Any, source: str) -> tuple[str, ...]:
    array = as_array(value, "labels", source)
    if array.ndim != 1 or array.dtype.kind not in "US":
        raise InvalidDataError(
            f"'labels' in {source} has dtype {array.dtype} and {array.ndim} dimensions; expected "
            "the class names as one row of text. Class numbers belong in y."
        )
    return tuple(np.char.decode(array, "utf-8") if array.dtype.kind == "S" else map(str, array))


def _unexpected(
    key: Any,
    arrays: Mapping[Any, Any],
    source: str,
    inputs: Sequence[InputSpec] | None,
    outputs: Sequence[str],
) -> InvalidDataError:
    hint = ""
    if _SPLIT_NAME.fullmatch(str(key)):
        hint = (
            " This looks like an archive of several sets: save the one that you want, as "
            "np.savez('calibration.npz', x=data['x_train'][:200], y=data['y_train'][:200])."
        )
    return InvalidDataError(
        f"{source} has the unexpected key '{key}' (keys found: {', '.join(map(str, arrays))}). "
        f"{_expected(inputs, outputs)}{hint}"
    )


def _expected(inputs: Sequence[InputSpec] | None, outputs: Sequence[str]) -> str:
    names = [spec.name for spec in inputs] if inputs is not None else ["the input names"]
    x = " or x" if inputs is None or len(inputs) == 1 else ""
    labels = "y" if len(outputs) < 2 else " and ".join(f"y_{output}" for output in outputs)
    return f"Expected: {' and '.join(names)}{x}; for labels {labels}; for class names labels."
