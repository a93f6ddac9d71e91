"""A tf_keras graph read call by call, and rebuilt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.models.keras2_models import contents, functional, keras, layers, names, settled
from tfgreen.errors import UnsupportedModelError
from tfgreen.models.keras2_graph import Graph, Replay, graph_of, rebuilt


def branched() -> Any:
    """x → first → (second, shared) → joined → out; "shared" is called twice."""
    x = layers.Input((4,), name="x")
    first = layers.Dense(4, name="first")(x)
    shared = layers.Dense(4, name="shared")
    joined = layers.Add(name="joined")([layers.ReLU(name="second")(first), shared(first)])
    return settled(keras.Model(x, [layers.Dense(2, name="out")(joined), shared(joined)]))


def calls(graph: Graph) -> dict[str, Any]:
    return {call.layer.name: call for call in graph.calls}


def test_calls_come_in_an_order_in_which_they_can_be_made() -> None:
    model = branched()
    known = {id(tensor) for tensor in model.inputs}
    for call in Graph(model).calls:
        assert all(id(tensor) in known for tensor in call.inputs)
        known.update(id(tensor) for tensor in call.outputs)


def test_readers_writers_and_results() -> None:
    graph = Graph(branched())
    by_name = calls(graph)
    first, joined = by_name["first"], by_name["joined"]
    assert sorted(c.layer.name for c in graph.readers(first.outputs[0])) == ["second", "shared"]
    assert graph.only_reader(first) is None
    assert graph.only_reader(by_name["second"]) is joined
    assert graph.writer(joined.outputs[0]) is joined
    assert graph.writer(graph.model.inputs[0]) is None
    assert graph.is_result(by_name["out"].outputs[0]) and graph.only_reader(by_name["out"]) is None
    assert graph.is_called_once(first.layer) and not graph.is_called_once(by_name["shared"].layer)


def test_a_rebuilt_model_is_equal_and_shares_nothing() -> None:
    model = branched()
    before = contents(model)
    made = rebuilt(model, Replay(lambda layer: None))
    assert names(made) == names(model) and made.output_names == model.output_names
    assert not {id(layer) for layer in made.layers} & {id(layer) for layer in model.layers}
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    for one, two in zip(model.predict(x, verbose=0), made.predict(x, verbose=0), strict=True):
        np.testing.assert_array_equal(one, two)
    assert contents(model) == before
    assert all(
        len(layer.inbound_nodes) == (2 if layer.name == "shared" else 1) for layer in model.layers
    )


def test_a_replacement_is_asked_once_and_keeps_the_output_s_name() -> None:
    asked: list[str] = []

    def replacement(layer: Any) -> Any:
        asked.append(layer.name)
        return (lambda inputs: inputs * 2.0) if layer.name == "out" else None

    model = functional((3,), layers.Dense(3, name="out"))
    made = rebuilt(model, Replay(replacement))
    assert asked == ["out"] and made.output_names == ["out"]
    x = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(made.predict(x, verbose=0), 2 * x)


def test_inputs_can_be_entered_through_something() -> None:
    model = functional((3,), layers.Dense(2, name="out"))
    made = rebuilt(model, Replay(lambda layer: None), enter=lambda tensor: tensor * 0.0)
    bias = model.layers[-1].bias.numpy()
    np.testing.assert_allclose(made.predict(np.ones((1, 3)), verbose=0), bias[None])


@pytest.mark.parametrize("structure", ["dict", "list"])
def test_structures_of_inputs_and_outputs_stay(structure: str) -> None:
    a, b = layers.Input((2,), name="a"), layers.Input((2,), name="b")
    total = layers.Add(name="total")([a, b])
    half = layers.Rescaling(0.5, name="half")(total)
    if structure == "dict":
        model = keras.Model({"a": a, "b": b}, {"t": total, "h": half})
        x: Any = {"a": np.ones((1, 2)), "b": np.ones((1, 2))}
    else:
        model, x = keras.Model([a, b], [total, half]), [np.ones((1, 2)), np.ones((1, 2))]
    ours, theirs = (
        m.predict(x, verbose=0) for m in (model, rebuilt(model, Replay(lambda _: None)))
    )
    assert type(ours) is type(theirs)
    keras.utils.set_random_seed(0)
    for key in ("t", "h") if structure == "dict" else (0, 1):
        np.testing.assert_array_equal(ours[key], theirs[key])


def test_a_sequential_model_has_a_graph_too() -> None:
    model = settled(keras.Sequential([layers.Input((3,)), layers.Dense(2), layers.ReLU()]))
    made = rebuilt(model, Replay(lambda layer: None))
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    np.testing.assert_array_equal(model.predict(x, verbose=0), made.predict(x, verbose=0))


def test_a_model_without_a_graph_is_refused() -> None:
    class Own(keras.Model):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            return inputs

    with pytest.raises(UnsupportedModelError, match="no graph of layers"):
        graph_of(Own())


def test_a_layer_that_cannot_be_copied_is_named() -> None:
    class Odd(layers.Layer):  # type: ignore[misc]
        def __init__(self, size: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)

        def get_config(self) -> dict[str, Any]:
            return {"name": self.name}

    model = functional((3,), Odd(3, name="odd"))
    with pytest.raises(UnsupportedModelError, match=r"'odd' \(Odd\) cannot be copied"):
        rebuilt(model, Replay(lambda layer: None))
