"""Ops in a Keras 3 graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge import to_keras2, to_keras3
from tfgreen.models.bridge.comparison import TOLERANCE, output_difference
from tfgreen.models.keras2 import tf_keras

Op = Callable[[Any, Any], Any]

AS_LAYERS: dict[str, Op] = {
    "Add": lambda x, y: x + y,
    "Multiply": lambda x, y: x * y,
    "Subtract": lambda x, y: ops.subtract(x, y),
    "Maximum": lambda x, y: ops.maximum(x, y),
    "Minimum": lambda x, y: ops.minimum(x, y),
    "Concatenate": lambda x, y: ops.concatenate([x, y], axis=-1),
    "Reshape": lambda x, y: ops.reshape(x, (-1, 4, 3)),
    "Activation": lambda x, y: ops.gelu(x, approximate=False),
}

SCALINGS: dict[str, Op] = {
    "x * c": lambda x, y: x * 3,
    "c * x": lambda x, y: 3 * x,
    "x + c": lambda x, y: x + 3.5,
    "x - c": lambda x, y: x - 3,
    "c - x": lambda x, y: 3 - x,
    "x / c": lambda x, y: x / 3,
}

AS_THEY_ARE: dict[str, Op] = {
    "c / x": lambda x, y: 1 / (x + 20.0),
    "x / y": lambda x, y: x / (y + 20.0),
    "-x": lambda x, y: -x,
    "power": lambda x, y: x**2,
    "matmul": lambda x, y: ops.matmul(x, ops.transpose(y, (0, 2, 1))),
    "einsum": lambda x, y: ops.einsum("bij,bkj->bik", x, y),
    "slices": lambda x, y: x[:, 1:3, ::2],
    "ellipsis": lambda x, y: x[..., 0],
    "new axis": lambda x, y: x[:, None, :, 1],
    "mean": lambda x, y: ops.mean(x, axis=1, keepdims=True),
    "where": lambda x, y: ops.where(x > y, x, ops.zeros_like(x)),
    "split": lambda x, y: ops.split(x, 3, axis=1)[1],
    "stack": lambda x, y: ops.stack([x, y, x], axis=1),
    "top k": lambda x, y: ops.top_k(x, 2)[0],
    "cast": lambda x, y: ops.cast(ops.argmax(x, axis=-1), "float32"),
    "clip": lambda x, y: ops.clip(x, -0.5, 0.5),
    "broadcast": lambda x, y: x + y[:, :1],
    "constant": lambda x, y: ops.multiply(x, np.arange(4.0, dtype="float32")),
    "normalize": lambda x, y: ops.normalize(x, axis=-1),
    "tanh of gelu": lambda x, y: ops.gelu(ops.tanh(x), approximate=True),
    "pad": lambda x, y: ops.pad(x, ((0, 0), (1, 1), (0, 0))),
    "square with itself": lambda x, y: x * x,
}


def model_of(op: Op) -> Any:
    x, y = keras.layers.Input((3, 4), name="x"), keras.layers.Input((3, 4), name="y")
    return keras.Model([x, y], op(x, y))


def checked(op: Op) -> Any:
    model = model_of(op)
    twin = to_keras2(model)
    assert output_difference(model, twin) <= TOLERANCE
    clone = tf_keras().models.clone_model(twin)
    assert output_difference(model, clone) <= TOLERANCE
    assert output_difference(to_keras3(clone, model), twin) <= TOLERANCE
    return twin


@pytest.mark.parametrize("name", AS_LAYERS)
def test_ops_that_are_layers(name: str) -> None:
    twin = checked(AS_LAYERS[name])
    assert name in {type(layer).__name__ for layer in twin.layers}


@pytest.mark.parametrize("name", SCALINGS)
def test_scalings(name: str) -> None:
    twin = checked(SCALINGS[name])
    assert type(twin.layers[-1]).__name__ == "Rescaling"


@pytest.mark.parametrize("name", AS_THEY_ARE)
def test_ops_that_run_as_they_are(name: str) -> None:
    checked(AS_THEY_ARE[name])


def test_outputs_keep_their_names() -> None:
    model = model_of(lambda x, y: {"sum": x + y, "product": ops.einsum("bij,bkj->bik", x, y)})
    assert to_keras2(model).output_names == model.output_names


def test_an_op_called_twice() -> None:
    add = keras.src.ops.numpy.Add()
    model = model_of(lambda x, y: add(add(x, y), x))
    twin = to_keras2(model)
    assert output_difference(model, twin) <= TOLERANCE


def test_whole_numbers_are_not_scaled_as_floats() -> None:
    x = keras.layers.Input((3,), dtype="int32")
    model = keras.Model(x, ops.cast(x * 3 + 1, "float32"))
    assert output_difference(model, to_keras2(model)) == 0


def test_what_is_no_value_is_refused() -> None:
    class Call(keras.Operation):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(name="odd")

        def call(self, x: Any, function: Any) -> Any:
            return function(x)

        def compute_output_spec(self, x: Any, function: Any) -> Any:
            return keras.KerasTensor(x.shape, x.dtype)

    x = keras.layers.Input((3,))
    model = keras.Model(x, Call()(x, ops.abs))
    with pytest.raises(UnsupportedModelError, match="'odd' is called with a function"):
        to_keras2(model)
