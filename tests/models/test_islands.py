"""What comes out of the converter, with and without the rewrites of the graph."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.models.conversions import assert_same_outputs, int8_ops, opened
from tfgreen.models import islands
from tfgreen.models.serving import serve_model, serve_saved_model


def normalizations(layers: Any) -> dict[str, Any]:
    return {
        "LayerNormalization": lambda: [layers.Input((6, 8)), layers.LayerNormalization()],
        "over several axes": lambda: [
            layers.Input((4, 4, 8)),
            layers.LayerNormalization(axis=(1, 2, 3)),
        ],
        "GroupNormalization": lambda: [layers.Input((4, 4, 8)), layers.GroupNormalization(4)],
        "RMSNormalization": lambda: [layers.Input((6, 8)), layers.RMSNormalization()],
        "GELU": lambda: [layers.Input((8,)), layers.Activation("gelu")],
        "PReLU": lambda: [layers.Input((8,)), layers.PReLU("ones")],
    }


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")
@pytest.mark.parametrize("flavour", ["keras3", "keras2"])
@pytest.mark.parametrize(
    ("name", "rewritten"),
    [
        ("LayerNormalization", {"keras3": True, "keras2": False}),
        ("over several axes", {"keras3": True, "keras2": False}),
        ("GroupNormalization", {"keras3": True, "keras2": True}),
        ("RMSNormalization", {"keras3": True}),
        ("GELU", {"keras3": False, "keras2": False}),
        ("PReLU", {"keras3": False, "keras2": False}),
    ],
)
def test_no_float_island_is_left(
    flavour: str,
    name: str,
    rewritten: dict[str, bool],
    flavours: dict[str, ModuleType],
    tmp_path: Path,
) -> None:
    if flavour not in rewritten:
        pytest.skip("a layer of Keras 3 only")
    keras = flavours[flavour]
    model, convertible = opened(keras, normalizations(keras.layers)[name](), tmp_path)
    assert bool(convertible.rewrites) == rewritten[flavour]
    ops = int8_ops(convertible)
    assert {"DEQUANTIZE", "QUANTIZE", "NEG", "SQUARE"}.isdisjoint(ops)
    if name in ("GELU", "PReLU"):
        assert name.upper() in ops
    assert_same_outputs(model, convertible)


def float_file(folder: Path) -> bytes:
    import tensorflow as tf

    content: bytes = tf.lite.TFLiteConverter.from_saved_model(str(folder)).convert()
    return content


def test_a_normalization_leaves_islands_when_it_is_not_rewritten(
    keras3: ModuleType, tmp_path: Path
) -> None:
    """The reason for the rewrite; when this fails, the converter has learned to do it."""
    folder = tmp_path / "saved"
    serve_model(keras3.Sequential(normalizations(keras3.layers)["GroupNormalization"]()), 1).save(
        folder
    )
    assert islands.may_leave_islands(folder)
    found = islands.islands_of(float_file(folder))
    assert len(found) == 2
    done = islands.rewrite_graph(folder, found)
    assert sorted(text.split(": ")[1].split(" written")[0] for text in done) == [
        "negation",
        "squared difference",
    ]
    assert not islands.may_leave_islands(folder)
    assert islands.islands_of(float_file(folder)) == ()


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("has_sizes", [False, True])
def test_a_split_with_an_unused_part_becomes_slices(
    axis: int, has_sizes: bool, tmp_path: Path
) -> None:
    import tensorflow as tf

    def body(x: Any) -> dict[str, Any]:
        sizes = [2, int(x.shape[axis]) - 4, -1] if has_sizes else 3
        first, _, third = tf.split(x, sizes, axis)
        return {"y": tf.tanh(first) * third, "all": tf.add_n(tf.split(x, 2, axis))}

    module = tf.Module()
    function = tf.function(body, input_signature=[tf.TensorSpec((1, 6, 12), name="x")])
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": function})
    x = {"x": np.random.default_rng(0).normal(size=(2, 6, 12)).astype(np.float32)}
    expected = serve_saved_model(tmp_path, 1).predict(x)
    found = islands.islands_of(float_file(tmp_path))
    assert len(found) == 1
    (done,) = islands.rewrite_graph(tmp_path, found)
    assert done.endswith("split written as slices, of which one is not used")
    assert islands.islands_of(float_file(tmp_path)) == ()
    for name, value in serve_saved_model(tmp_path, 1).predict(x).items():
        np.testing.assert_array_equal(value, expected[name])


def test_a_graph_without_such_ops_is_left_alone(saved_model: Path) -> None:
    assert not islands.may_leave_islands(saved_model)
    assert islands.rewrite_graph(saved_model, ("anything/Neg",)) == ()
