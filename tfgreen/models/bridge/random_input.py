"""Random input that a model of unknown meaning accepts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfgreen.errors import UnsupportedModelError

SAMPLES = 3
_SEED = 0
_HIGHEST = 256

# Sizes tried for axes of unknown length, by the rank of the input: sequences, images.
_FREE_SIZE = {2: 16, 3: 16, 4: 64, 5: 16}


def random_inputs(functional: Any) -> list[Any]:
    """One tensor for each input of a Keras 3 functional model, in its order, always the same.

    Floats are normal; integers lie below the smallest vocabulary of the model's layers, and
    sequences of them are no longer than a layer's `context`.
    """
    random = np.random.default_rng(_SEED)
    highest = _smallest(functional, ("input_dim", "num_tokens", "vocabulary")) or _HIGHEST
    longest = _smallest(functional, ("context",))
    return [
        keras.ops.convert_to_tensor(_values(x, highest, longest, random)) for x in functional.inputs
    ]


def nudged(inputs: list[Any], step: float) -> list[Any]:
    """The same inputs, each float larger by a share of itself."""
    return [x * (1 + step) if "float" in x.dtype.name else x for x in inputs]


def _values(
    tensor: Any, highest: int, longest: int | None, random: np.random.Generator
) -> np.ndarray:
    batch, *rest = tensor.shape
    free = min(_FREE_SIZE.get(len(tensor.shape), 8), longest or _HIGHEST)
    shape = (batch or SAMPLES, *(size or free for size in rest))
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if dtype == "string":
        raise UnsupportedModelError(
            f"The input '{tensor._keras_history.operation.name}' is text, which no compressed "
            "model can take. Look the words up in the data pipeline, and give the model numbers."
        )
    if dtype == "bool":
        return random.integers(0, 2, shape).astype(bool)
    if "int" in dtype:
        return random.integers(0, highest, shape).astype(dtype)
    values = random.normal(size=shape).astype("float32")
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(values, dtype)))


def _smallest(functional: Any, names: Sequence[str]) -> int | None:
    """The smallest number of any of these names among the attributes of the model's layers."""
    outer = functional._flatten_layers(include_self=False, recursive=True)
    layers = [vars(layer).get("_hosted", layer) for layer in outer]
    sizes = [getattr(layer, name, None) for layer in layers for name in names]
    return min([size for size in sizes if isinstance(size, int) and size > 0], default=None)
