"""BatchNormalization folded for good: equal outputs, fewer layers, zeros kept, caller untouched."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from tests.compression.models import dense_model, fingerprint, models_without_a_graph
from tfgreen.compression.folding import fold_batch_normalization
from tfgreen.errors import UnsupportedModelError
from tfgreen.models.keras2 import tf_keras

layers = keras.layers
IMAGE = (8, 8, 3)


def settled(model: Any) -> Any:
    """The model with BatchNormalization that has seen something."""
    random = np.random.default_rng(5)
    for layer in model._flatten_layers(include_self=False):
        if type(layer).__name__ == "BatchNormalization":
            drawn = [random.uniform(0.3, 2.0, w.shape) for w in layer.get_weights()]
            signs = random.choice([-1.0, 1.0], drawn[0].shape)
            layer.set_weights([drawn[0] * signs, *drawn[1:]])
    return model


def norms(model: Any) -> list[str]:
    found = model._flatten_layers(include_self=False)
    return [layer.name for layer in found if type(layer).__name__ == "BatchNormalization"]


def sequential(*linear: Any, shape: tuple[int, ...] = IMAGE) -> Any:
    keras.utils.set_random_seed(3)
    stack = [x for layer in linear for x in (layer, layers.BatchNormalization(), layers.ReLU())]
    return settled(keras.Sequential([keras.Input(shape), *stack]))


LINEAR = {
    "dense": (lambda: [layers.Dense(4, use_bias=False)], (6,)),
    "conv1d": (lambda: [layers.Conv1D(4, 3)], (9, 3)),
    "conv2d": (lambda: [layers.Conv2D(4, 3, groups=1), layers.Conv2D(6, 3, groups=2)], IMAGE),
    "conv3d": (lambda: [layers.Conv3D(4, 2)], (5, 5, 5, 2)),
    "transposes": (lambda: [layers.Conv2DTranspose(5, 3, use_bias=False)], IMAGE),
    "conv1d transpose": (lambda: [layers.Conv1DTranspose(5, 3)], (9, 3)),
    "depthwise": (lambda: [layers.DepthwiseConv2D(3, depth_multiplier=2)], IMAGE),
    "depthwise1d": (lambda: [layers.DepthwiseConv1D(3, use_bias=False)], (9, 3)),
    "separable": (lambda: [layers.SeparableConv2D(5, 3), layers.SeparableConv2D(4, 2)], IMAGE),
}


@pytest.mark.parametrize("name", LINEAR)
def test_outputs_are_equal_and_the_normalization_is_gone(name: str) -> None:
    make, shape = LINEAR[name]
    model = sequential(*make(), shape=shape)
    before = fingerprint(model)
    folded = fold_batch_normalization(model)
    assert norms(folded) == []
    assert fingerprint(model) == before
    x = np.random.default_rng(1).normal(size=(4, *shape)).astype("float32")
    np.testing.assert_allclose(folded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5)


def test_what_cannot_be_folded_stays() -> None:
    inputs = keras.Input(IMAGE)
    shared = layers.Conv2D(3, 1)
    first = layers.BatchNormalization(name="of_a_shared_layer")(shared(inputs))
    second = layers.BatchNormalization(name="behind_an_activation")(
        layers.Conv2D(3, 1, activation="relu")(shared(first))
    )
    read_twice = layers.Conv2D(3, 1)(second)
    third = layers.BatchNormalization(name="not_the_only_reader")(read_twice)
    folds = layers.BatchNormalization(name="folds")(layers.Conv2D(3, 1)(third))
    joined = layers.Conv2D(3, 1)(layers.Add()([folds, read_twice]))
    outputs = layers.BatchNormalization(name="output")(joined)
    model = settled(keras.Model(inputs, outputs))
    folded = fold_batch_normalization(model)
    assert norms(folded) == [name for name in norms(model) if name != "folds"]
    assert folded.output_names == model.output_names


def test_nested_models_too() -> None:
    block = sequential(layers.Conv2D(4, 3))
    inputs = keras.Input(IMAGE)
    model = keras.Model(inputs, layers.Flatten()(block(inputs)))
    assert norms(model)
    assert norms(fold_batch_normalization(model)) == []


def test_zeros_stay_zeros() -> None:
    model = sequential(layers.Conv2D(4, 3))
    kernel = model.layers[0].kernel.numpy()
    kernel[np.abs(kernel) < 0.2] = 0
    model.layers[0].kernel.assign(kernel)
    folded = fold_batch_normalization(model).layers[0].kernel.numpy()
    np.testing.assert_array_equal(folded == 0, kernel == 0)


def test_it_is_compiled_as_the_model_is() -> None:
    model = dense_model()  # its normalization follows an activation, so the layers stay
    folded = fold_batch_normalization(model)
    assert folded.compiled
    assert type(folded.optimizer) is type(model.optimizer)
    assert folded.optimizer is not model.optimizer


def test_tf_keras() -> None:
    old = tf_keras()
    stack = [old.layers.Conv2D(4, 3), old.layers.BatchNormalization(), old.layers.ReLU()]
    model = settled(old.Sequential([old.Input(IMAGE), *stack]))
    before = fingerprint(model)
    folded = fold_batch_normalization(model)
    assert isinstance(folded, old.Model)
    assert norms(folded) == []
    assert fingerprint(model) == before
    x = np.random.default_rng(1).normal(size=(4, *IMAGE)).astype("float32")
    np.testing.assert_allclose(folded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5)


@pytest.mark.parametrize(("model", "message"), models_without_a_graph())
def test_models_without_a_graph_are_refused(model: Any, message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        fold_batch_normalization(model)
