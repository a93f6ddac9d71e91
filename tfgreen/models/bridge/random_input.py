"""Random input that a model of unknown meaning accepts."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfgreen.errors import UnsupportedModelError

SAMPLES = 3
_SEED = 0

# Sizes tried for axes of unknown length, by the rank of the input: sequences, images.
_FREE_SIZE = {2: 16, 3: 16, 4: 64, 5: 16}


def random_inputs(functional: Any) -> list[Any]:
    """One tensor for each input of a Keras 3 functional model, in its order, always the same.

    Floats are normal; integers lie below the smallest vocabulary of the model's layers.
    """
    random = np.random.default_rng(_SEED)
    highest = _smallest_vocabulary(functional)
    return [keras.ops.convert_to_tensor(_values(x, highest, random)) for x in functional.inputs]


def nudged(inputs: list[Any], step: float) -> list[Any]:
    """The same inputs, each float larger by a share of itself."""
    return [x * (1 + step) if "float" in x.dtype.name else x for x in inputs]


def _values(tensor: Any, highest: int, random: np.random.Generator) -> np.ndarray:
    batch, *rest = tensor.shape
    free = _FREE_SIZE.get(len(tensor.shape), 8)
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


def _smallest_vocabulary(functional: Any) -> int:
    layers = functional._flatten_layers(include_self=False, recursive=True)
    sizes = [getattr(x, "input_dim", None) or getattr(x, "num_tokens", None) for x in layers]
    return min([size for size in sizes if isinstance(size, int)], default=256)
