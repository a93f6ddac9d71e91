"""The arguments of a call as plain values, with a number in the place of each tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfgreen.errors import UnsupportedModelError

_PLAIN = (bool, int, float, str, type(None))


def encoded(structure: Any, tensors: list[Any], owner: str) -> Any:
    """Plain values that `decoded` turns back; the symbolic tensors found are added to `tensors`.

    owner: the layer's name, for the error: UnsupportedModelError for a value that is not plain.
    """
    if isinstance(structure, keras.KerasTensor):
        tensors.append(structure)
        return {"tensor": len(tensors) - 1}
    if isinstance(structure, _PLAIN):
        return structure
    if isinstance(structure, list):
        return [encoded(part, tensors, owner) for part in structure]
    if isinstance(structure, tuple):
        return {"tuple": [encoded(part, tensors, owner) for part in structure]}
    if isinstance(structure, dict):
        return {"dict": {key: encoded(part, tensors, owner) for key, part in structure.items()}}
    if isinstance(structure, slice):
        parts = (structure.start, structure.stop, structure.step)
        return {"slice": [encoded(part, tensors, owner) for part in parts]}
    if structure is Ellipsis:
        return {"ellipsis": True}
    return _encoded_array(structure, owner)


def decoded(plain: Any, tensors: Sequence[Any]) -> Any:
    """The arguments again, with these tensors in their places.

    >>> decoded(encoded((slice(0, 2), [1, ...]), [], "x"), [])
    (slice(0, 2, None), [1, Ellipsis])
    """
    if isinstance(plain, list):
        return [decoded(part, tensors) for part in plain]
    if not isinstance(plain, dict):
        return plain
    ((kind, value),) = plain.items()
    if kind == "tensor":
        return tensors[value]
    if kind == "array":
        return np.asarray(value["values"], value["dtype"])
    if kind == "ellipsis":
        return Ellipsis
    if kind == "dict":
        return {key: decoded(part, tensors) for key, part in value.items()}
    parts = [decoded(part, tensors) for part in value]
    return slice(*parts) if kind == "slice" else tuple(parts)


def _encoded_array(value: Any, owner: str) -> Any:
    if isinstance(value, (np.ndarray, np.generic)) or keras.ops.is_tensor(value):
        array = np.asarray(value)
    elif isinstance(value, keras.Variable):
        array = np.asarray(value.value)
    elif isinstance(value, type) or hasattr(value, "as_numpy_dtype"):
        return keras.backend.standardize_dtype(value)
    else:
        raise UnsupportedModelError(
            f"'{owner}' is called with a {type(value).__name__}, which cannot be taken over to "
            "tf_keras. Call it with tensors and plain values, or put it into a layer of your own."
        )
    dtype = keras.backend.standardize_dtype(array.dtype)
    return {"array": {"values": array.astype(_wide(dtype)).tolist(), "dtype": dtype}}


def _wide(dtype: str) -> str:
    return "float64" if "float" in dtype else dtype
