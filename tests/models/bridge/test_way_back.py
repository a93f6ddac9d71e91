"""From a twin back to Keras 3."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from tests.models.bridge import zoo
from tfgreen.errors import UnsupportedModelError
from tfgreen.models.bridge import to_keras2, to_keras3
from tfgreen.models.keras2 import model_optimization, tf_keras


def test_weights_that_were_trained_come_back() -> None:
    model = zoo.convolutional()
    before = [np.array(w) for w in model.weights]
    twin = to_keras2(model)
    twin.compile("adam", "mse")
    twin.fit(np.ones((8, 12, 12, 3)), np.ones((8, 4)), verbose=0)
    again = to_keras3(twin, model)
    x = np.random.default_rng(0).normal(size=(3, 12, 12, 3)).astype("float32")
    np.testing.assert_allclose(again(x), twin(x), atol=1e-6)
    for one, two, three in zip(before, model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, two)
        assert three is not two
    assert not np.array_equal(before[0], again.weights[0])


def test_the_new_model_shares_nothing_with_the_original() -> None:
    model = zoo.nested()
    nodes = [len(layer._inbound_nodes) for layer in all_layers(model)]
    again = to_keras3(to_keras2(model), model)
    assert not set(map(id, all_layers(model))) & set(map(id, all_layers(again)))
    assert not {id(w) for w in model.variables} & {id(w) for w in again.variables}
    assert [len(layer._inbound_nodes) for layer in all_layers(model)] == nodes


def all_layers(model: Any) -> list[Any]:
    return list(model._flatten_layers(include_self=False, recursive=True))


def test_the_new_model_saves_and_loads(tmp_path: Any) -> None:
    model = zoo.graph_of_ops()
    again = to_keras3(to_keras2(model), model)
    again.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")
    np.testing.assert_array_equal(loaded(x), again(x))


def test_wrapped_layers_name_finalize() -> None:
    model = zoo.convolutional()
    sparsity = model_optimization().sparsity.keras
    wrapped = sparsity.prune_low_magnitude(to_keras2(model))
    with pytest.raises(UnsupportedModelError, match="no layer 'conv'.*finalize first"):
        to_keras3(wrapped, model)
    stripped = sparsity.strip_pruning(wrapped)
    np.testing.assert_array_equal(
        to_keras3(stripped, model).get_weights()[0], model.get_weights()[0]
    )


def test_a_folded_normalization_has_no_way_back() -> None:
    model = zoo.convolutional()
    twin = to_keras2(model)
    layers = [layer for layer in twin.layers if layer.name != "norm"]
    folded = tf_keras().Sequential([type(x).from_config(x.get_config()) for x in layers])
    with pytest.raises(UnsupportedModelError, match="no layer 'norm'.*stays a tf_keras model"):
        to_keras3(folded, model)


def test_other_shapes_have_no_way_back() -> None:
    model = zoo.convolutional()
    twin = to_keras2(model)
    config = twin.get_config()
    (head,) = (layer for layer in config["layers"] if layer["config"]["name"] == "head")
    head["config"]["units"] = 7
    wider = tf_keras().Model.from_config(config)
    with pytest.raises(UnsupportedModelError, match="Dense 'head' has weights of the shapes"):
        to_keras3(wider, model)
