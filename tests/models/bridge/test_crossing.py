"""Keras 3 models as tf_keras twins: every kind, equal outputs, an untouched original."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tests.models.bridge import zoo
from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge import origin_of, to_keras2, to_keras3
from tfgreen.models.bridge.comparison import TOLERANCE, output_difference
from tfgreen.models.bridge.nodes import graph_of
from tfgreen.models.bridge.weights import own_weights
from tfgreen.models.keras2 import is_model, layers_of, tf_keras

Watch = Callable[[Any], Any]


@pytest.mark.parametrize("name", zoo.SMALL)
def test_there_and_back(name: str, unchanged: Watch) -> None:
    model = unchanged(zoo.perturbed(zoo.SMALL[name]()))
    twin = to_keras2(model)
    assert is_model(twin)
    assert output_difference(model, twin) <= TOLERANCE
    assert twin.name == model.name
    assert [layer.name for layer in twin.layers if own_weights(layer)] == [
        layer.name
        for layer in model._flatten_layers(include_self=False, recursive=False)
        if layer.weights and layer.name in {x.name for x in twin.layers}
    ]
    again = to_keras3(twin, model)
    assert type(again) is type(model)
    assert again.get_config() == model.get_config()
    for before, after in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("name", zoo.SMALL)
def test_a_twin_can_be_cloned_and_trained(name: str, unchanged: Watch) -> None:
    """Wrappers are put on by cloning; nothing of the original may be shared or moved by it."""
    model = unchanged(zoo.SMALL[name]())
    twin = to_keras2(model)
    clone = tf_keras().models.clone_model(twin)
    clone.set_weights(twin.get_weights())
    inputs = model_inputs(model)
    targets = keras.tree.map_structure(lambda y: np.zeros(y.shape), twin(inputs))
    clone.compile("sgd", "mse")
    clone.fit(inputs, targets, batch_size=4, verbose=0)
    assert any(
        not np.array_equal(one, two)
        for one, two in zip(clone.get_weights(), twin.get_weights(), strict=True)
    )


def model_inputs(model: Any) -> Any:
    random = np.random.default_rng(3)

    def values(x: Any) -> np.ndarray:
        if "int" in x.dtype:
            return random.integers(0, 10, (4, *x.shape[1:]))
        return random.normal(size=(4, *x.shape[1:])).astype("float32")

    return keras.tree.map_structure(values, graph_of(model)._inputs_struct)


def test_nothing_of_the_original_is_tracked(unchanged: Watch) -> None:
    model = unchanged(zoo.convolutional())
    twin = to_keras2(model)
    assert origin_of(twin) is model
    assert len(twin.weights) == len(model.weights)
    assert not any(isinstance(part, keras.layers.Layer) for part in layers_of(twin))


def test_sharing_is_kept(unchanged: Watch) -> None:
    model = unchanged(zoo.shared())
    twin = to_keras2(model)
    assert len(twin.weights) == len(model.weights) == 4
    mixing = twin.get_layer("mixing")
    assert len(mixing.inbound_nodes) == 2


def test_trainable_flags_come_over(unchanged: Watch) -> None:
    model = zoo.nested()
    model.get_layer("inner").trainable = False
    twin = to_keras2(unchanged(model))
    assert [tuple(w.shape) for w in twin.trainable_weights] == [
        tuple(w.shape) for w in model.trainable_weights
    ]
    frozen = zoo.convolutional()
    frozen.trainable = False
    assert to_keras2(unchanged(frozen)).trainable_weights == []


def test_regularizers_and_dropout_act_in_training(unchanged: Watch) -> None:
    model = unchanged(zoo.convolutional())
    twin = to_keras2(model)
    np.testing.assert_allclose(twin.losses[0], model.losses[0], rtol=1e-6)
    x = model_inputs(model)
    assert not np.allclose(twin(x, training=True), twin(x, training=True))


def test_free_sizes(unchanged: Watch) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((None, None, 3)), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D()]
    )
    assert to_keras2(unchanged(model)).input_shape == (None, None, None, 3)
    sequence = keras.Sequential([layers.Input((None, 3)), layers.LSTM(4)])
    assert to_keras2(unchanged(sequence)).input_shape == (None, None, 3)


def test_a_model_with_wild_weights_is_told_from_a_wrong_one(unchanged: Watch) -> None:
    """Thirty multiplications by 3 and a hard switch: every layer agrees, rounding is amplified."""
    x = inputs = keras.layers.Input((16,))
    for _ in range(30):
        x = keras.layers.Dense(16)(x)
        x = keras.ops.sin(x * 3.0)
    model = keras.Model(inputs, x)
    for variable in model.weights:
        variable.assign(np.random.default_rng(0).normal(size=variable.shape))
    to_keras2(unchanged(model))


def test_a_tf_keras_model_comes_back_as_a_copy() -> None:
    layers = tf_keras().layers
    inner = tf_keras().Sequential([layers.Input((4,)), layers.Dense(3)], name="inner")
    x = inputs = layers.Input((4,))
    x = layers.BatchNormalization()(inner(x)) * 2.0
    model = tf_keras().Model(inputs, layers.Lambda(lambda t: np.float32(2) * t[:, :2])(x))
    model.compile(tf_keras().optimizers.Adam(0.02), "mse", metrics=["mae"])
    model.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)
    copy = to_keras2(model)
    assert copy is not model and origin_of(copy) is None
    x = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_array_equal(copy(x), model(x))
    before = model.get_weights()
    assert float(copy.optimizer.learning_rate.numpy()) == pytest.approx(0.02)
    assert int(copy.optimizer.iterations.numpy()) == int(model.optimizer.iterations.numpy()) == 1
    copy.fit(np.ones((8, 4)), np.zeros((8, 2)), verbose=0)
    for one, two in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, two)


class Subclassed(keras.Model):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.dense(x)


class OwnStep(keras.Model):  # type: ignore[misc]
    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


def subclassed() -> Any:
    model = Subclassed()
    model(np.ones((1, 3)))
    return model


def nested_subclassed() -> Any:
    inputs = keras.layers.Input((3,))
    return keras.Model(inputs, Subclassed()(inputs))


def own_step() -> Any:
    inputs = keras.layers.Input((3,))
    return OwnStep(inputs, keras.layers.Dense(2)(inputs))


def quantized() -> Any:
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2, name="fc")])
    model.layers[0].quantize("int8")
    return model


def text() -> Any:
    lookup = keras.layers.StringLookup(vocabulary=["a", "b"])
    return keras.Sequential([keras.layers.Input((1,), dtype="string", name="words"), lookup])


def tied() -> Any:
    first, second = keras.layers.Dense(3), keras.layers.Dense(3)
    x = inputs = keras.layers.Input((3,))
    x = second(first(x))
    second._tracker.unlock()
    second._trainable_variables[0] = second._kernel = first._kernel
    return keras.Model(inputs, x)


def no_config() -> Any:
    class Opaque(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self, function: Any, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.function = function

        def call(self, x: Any) -> Any:
            return self.function(x)

    return keras.Sequential([keras.layers.Input((3,)), Opaque(keras.ops.abs, name="opaque")])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (subclassed, r"'subclassed\w*' is a subclassed model .* functional API"),
        (nested_subclassed, r"'subclassed\w*' is a subclassed model .* functional API"),
        (lambda: keras.Sequential([keras.layers.Dense(2)]), "never built.*Input layer first"),
        (own_step, "train_step of its own.*plain functional model"),
        (quantized, r"Dense 'fc' was quantized by Keras 3 .*before quantize\(\)"),
        (text, "input 'words' is text.*give the model numbers"),
        (tied, "belongs to two layers.*Call one layer twice"),
        (no_config, "Opaque 'opaque' cannot be taken over.*get_config.*register_twin"),
    ],
)
def test_refusals_name_the_layer_and_a_way_out(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=f"(?s){message}"):
        to_keras2(make())


def test_another_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = zoo.lstm()
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(UnsupportedModelError, match="jax backend.*KERAS_BACKEND=tensorflow"):
        to_keras2(model)


def test_no_model_at_all() -> None:
    with pytest.raises(UnsupportedModelError, match="expected a model of Keras 3 or tf_keras"):
        to_keras2("model.keras")
