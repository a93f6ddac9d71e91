from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.models.conftest import dense, two_inputs
from tfgreen.errors import InvalidDataError, InvalidModelError, UnsupportedModelError
from tfgreen.models.serving import Serving, serve_model, serve_saved_model

FLAVOURS = pytest.mark.parametrize("flavour", ["keras3", "keras2"])


def arrays(serving: Serving, count: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        spec.name: random.integers(0, 3, (count, *spec.shape)).astype(spec.dtype)  # type: ignore[arg-type]
        for spec in serving.inputs
    }


def described(serving: Serving) -> list[tuple[str, tuple[int | None, ...], str]]:
    return [(spec.name, spec.shape, spec.dtype) for spec in serving.inputs]


@FLAVOURS
def test_names_order_and_values_are_the_models(
    flavour: str, flavours: dict[str, ModuleType]
) -> None:
    model = two_inputs(flavours[flavour])
    serving = serve_model(model, batch=1)
    assert described(serving) == [("image", (8, 8, 3), "float32"), ("extra", (4,), "float32")]
    assert serving.outputs == ("kind", "size")
    inputs = arrays(serving, 5)
    outputs = serving.predict(inputs)
    for name, expected in zip(
        serving.outputs, model([inputs["image"], inputs["extra"]]), strict=True
    ):
        np.testing.assert_allclose(outputs[name], expected, atol=1e-6)


@FLAVOURS
def test_a_larger_batch_takes_any_number_of_samples(
    flavour: str, flavours: dict[str, ModuleType]
) -> None:
    model = dense(flavours[flavour])
    x = {"x": np.arange(15, dtype=np.float32).reshape(5, 3)}
    np.testing.assert_allclose(
        serve_model(model, batch=4).predict(x)["y"], model(x["x"]), atol=1e-6
    )


def test_a_missing_input_is_told(keras3: ModuleType) -> None:
    with pytest.raises(InvalidDataError, match=r"\['x'\] are missing; received \['image'\]"):
        serve_model(dense(keras3), 1).predict({"image": np.ones((1, 3))})


def models_of_every_shape(keras: ModuleType) -> dict[str, Callable[[], Any]]:
    layers = keras.layers
    a, b = layers.Input((6,), name="a"), layers.Input((4,), name="b")
    shared = layers.Dense(3, name="shared")
    tokens = layers.Input((4,), dtype="int32", name="tokens")
    image = layers.Input((4, 4, 3), dtype="uint8", name="image")

    def first_batch_of_seven() -> Any:
        model = keras.Sequential([layers.Dense(2, name="y")])
        model(np.ones((7, 6), np.float32))
        return model

    return {
        "shared layer": lambda: keras.Model(a, [shared(a), shared(layers.ReLU()(a))]),
        "dict of outputs": lambda: keras.Model([a, b], {"z": shared(a), "k": layers.Dense(5)(b)}),
        "dict of inputs": lambda: keras.Model(
            {"b": b, "a": a}, layers.Dense(2, name="y")(layers.Concatenate()([a, b]))
        ),
        "nested outputs": lambda: keras.Model(
            [a, b], [layers.Dense(2, name="y")(a), [layers.Dense(5, name="z")(b)]]
        ),
        "whole numbers": lambda: keras.Model(
            tokens, layers.Flatten(name="y")(layers.Embedding(10, 2)(tokens))
        ),
        "pixels": lambda: keras.Model(image, layers.Rescaling(1 / 255, name="y")(image)),
        "built by a call": first_batch_of_seven,
    }


@FLAVOURS
@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("shared layer", ["a"], ("shared", "shared_1")),
        ("dict of outputs", ["a", "b"], ("k", "z")),
        ("dict of inputs", ["a", "b"], ("y",)),
        ("nested outputs", ["a", "b"], ("y", "z")),
        ("whole numbers", ["tokens"], ("y",)),
        ("pixels", ["image"], ("y",)),
        ("built by a call", None, ("y",)),
    ],
)
def test_every_structure_is_served_flat_and_by_name(
    flavour: str,
    name: str,
    inputs: list[str] | None,
    outputs: tuple[str, ...],
    flavours: dict[str, ModuleType],
) -> None:
    model = models_of_every_shape(flavours[flavour])[name]()
    serving = serve_model(model, batch=1)
    if inputs is not None:
        assert [spec.name for spec in serving.inputs] == inputs
    assert serving.outputs == outputs
    given = arrays(serving, 2)
    structure = given if name == "dict of inputs" else [*given.values()]
    expected = model(structure if len(given) > 1 else next(iter(given.values())))
    flat = [expected[k] for k in sorted(expected)] if isinstance(expected, dict) else expected
    flat = (
        [item[0] if isinstance(item, list) else item for item in flat]
        if outputs != ("y",)
        else [flat]
    )
    for key, value in zip(outputs, flat, strict=True):
        np.testing.assert_allclose(serving.predict(given)[key], value, atol=1e-6)


def subclassed(keras: ModuleType) -> dict[str, Callable[[], Any]]:
    class Two(keras.Model):
        def build(self, left_shape: Any, right_shape: Any) -> None:
            self.built = True

        def call(self, left: Any, right: Any) -> Any:
            return {"sum": left + right, "difference": left - right}

    class Dict(keras.Model):
        def call(self, inputs: Any) -> Any:
            return inputs["p"] - inputs["q"]

    ones = np.ones((2, 3), np.float32)

    def two() -> Any:
        model = Two()
        model(ones, ones)
        return model

    def of_dict() -> Any:
        model = Dict()
        model({"q": ones, "p": ones})
        return model

    return {"two arguments": two, "dict": of_dict}


@FLAVOURS
@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("two arguments", ["left", "right"], {"difference": -1.0, "sum": 5.0}),
        ("dict", ["p", "q"], {"output_0": -1.0}),
    ],
)
def test_subclassed_models_are_named_after_their_call(
    flavour: str,
    name: str,
    inputs: list[str],
    outputs: dict[str, float],
    flavours: dict[str, ModuleType],
) -> None:
    if (flavour, name) == ("keras2", "two arguments"):
        pytest.skip("tf_keras passes one shape to build")
    serving = serve_model(subclassed(flavours[flavour])[name](), batch=1)
    assert [spec.name for spec in serving.inputs] == inputs
    values = dict(zip(inputs, (2.0, 3.0), strict=True))
    received = serving.predict({k: np.full((1, 3), v, np.float32) for k, v in values.items()})
    assert {key: float(value[0, 0]) for key, value in received.items()} == outputs


def test_keras3_records_one_shape_of_a_call_with_two_arguments(keras3: ModuleType) -> None:
    class Two(keras3.Model):
        def call(self, left: Any, right: Any) -> Any:
            return left + right

    model = Two()
    model(np.ones((2, 3), np.float32), np.ones((2, 3), np.float32))
    with pytest.raises(UnsupportedModelError, match="takes left, right"):
        serve_model(model, 1)


@FLAVOURS
def test_a_free_dimension_is_refused_by_name(flavour: str, flavours: dict[str, ModuleType]) -> None:
    keras = flavours[flavour]
    model = keras.Sequential([keras.layers.Input((None, 3), name="speech"), keras.layers.Dense(2)])
    with pytest.raises(UnsupportedModelError, match="Input 'speech' .* fixed sizes"):
        serve_model(model, 1)


def test_text_is_refused(keras2: ModuleType) -> None:
    layers = keras2.layers
    text = layers.Input((1,), dtype="string", name="text")
    model = keras2.Model(
        text,
        layers.Dense(2)(
            layers.TextVectorization(5, output_sequence_length=3, vocabulary=["a", "b"])(text)
        ),
    )
    with pytest.raises(UnsupportedModelError, match="Input 'text' .* dtype string"):
        serve_model(model, 1)


def test_a_model_that_cannot_be_traced_is_told(keras3: ModuleType) -> None:
    class Broken(keras3.Model):
        def call(self, x: Any) -> Any:
            return x * float(np.asarray(x).sum())

    model = Broken()
    model.built, model._build_shapes_dict = True, {"input_shape": (None, 3)}
    with pytest.raises(UnsupportedModelError, match="cannot be made a graph"):
        serve_model(model, 1)


def test_a_saved_model_of_any_batch_gets_a_fixed_one(saved_model: Path, tmp_path: Path) -> None:
    serving = serve_saved_model(saved_model, batch=2)
    assert described(serving) == [("extra", (4,), "float32"), ("image", (8, 8, 3), "float32")]
    assert serving.outputs == ("output_0", "output_1")
    serving.save(tmp_path / "fixed")
    again = serve_saved_model(tmp_path / "fixed", batch=2)
    inputs = arrays(serving, 3)
    for name, expected in serving.predict(inputs).items():
        np.testing.assert_allclose(again.predict(inputs)[name], expected, atol=1e-6)
    with pytest.raises(UnsupportedModelError, match="fixes the batch at 2"):
        serve_saved_model(tmp_path / "fixed", batch=1)


def test_a_saved_model_without_its_weights_is_damaged(saved_model: Path, tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes((saved_model / "saved_model.pb").read_bytes())
    with pytest.raises(InvalidModelError, match="cannot be loaded"):
        serve_saved_model(tmp_path, 1)


def test_a_saved_model_without_one_signature_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    function = tf.function(lambda x: x, input_signature=[tf.TensorSpec((1, 2), name="x")])
    tf.saved_model.save(module, str(tmp_path), signatures={"a": function, "b": function})
    with pytest.raises(UnsupportedModelError, match=r"signatures \['a', 'b'\]"):
        serve_saved_model(tmp_path, 1)


def test_an_unnamed_input_is_named_as_in_the_saved_file(keras3: ModuleType, tmp_path: Path) -> None:
    inputs = keras3.Input((3,))
    model = keras3.Model(inputs, keras3.layers.Dense(2)(inputs))
    model.save(tmp_path / "model.keras")
    read = keras3.models.load_model(tmp_path / "model.keras")
    assert described(serve_model(model, batch=1)) == described(serve_model(read, batch=1))
