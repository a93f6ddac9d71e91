from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfgreen.models.saved_model import choose_signature, read_saved_model
from tfgreen.signature import InputSpec


@pytest.fixture(scope="module")
def tf() -> Any:
    import tensorflow

    return tensorflow


@pytest.fixture
def saved(tf: Any, tmp_path: Path) -> Callable[[Callable[[Any], Any]], Path]:
    """A SavedModel of one function of `x`, float32 (1, 2)."""

    def save(body: Callable[[Any], Any]) -> Path:
        module = tf.Module()
        module.weight = tf.Variable([1.0, 2.0])

        @tf.function(input_signature=[tf.TensorSpec((1, 2), tf.float32, name="x")])
        def function(x: Any) -> dict[str, Any]:
            return {"y": body(x) + module.weight}

        module.function = function
        path = tmp_path / "saved"
        tf.saved_model.save(module, str(path), signatures={"main": function})
        return path

    return save


def operations(tf: Any, path: Path) -> dict[str, Callable[[Any], Any]]:
    def written(x: Any) -> Any:
        tf.io.write_file(str(path), "executed")
        return x

    def written_deep(x: Any) -> Any:
        return tf.cond(tf.reduce_sum(x) > 0, lambda: written(x), lambda: x)

    def read(x: Any) -> Any:
        return x + tf.cast(tf.strings.length(tf.io.read_file(str(path))), tf.float32)

    def called_back(x: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(lambda v: v, [x], tf.float32), (1, 2))

    def printed_to_file(x: Any) -> Any:
        tf.print("executed", output_stream=f"file://{path}")
        return x

    def checkpointed(x: Any) -> Any:
        tf.raw_ops.SaveV2(prefix=str(path), tensor_names=["x"], shape_and_slices=[""], tensors=[x])
        return x

    return {
        "WriteFile": written,
        "WriteFile in a branch": written_deep,
        "ReadFile": read,
        "PyFunc": called_back,
        "PrintV2": printed_to_file,
        "SaveV2": checkpointed,
    }


@pytest.mark.parametrize(
    "name", ["WriteFile", "WriteFile in a branch", "ReadFile", "PyFunc", "PrintV2", "SaveV2"]
)
def test_ops_that_touch_the_machine_are_found(
    name: str, tf: Any, saved: Callable[[Callable[[Any], Any]], Path], tmp_path: Path
) -> None:
    facts = read_saved_model(saved(operations(tf, tmp_path / "trace")[name]))
    (found,) = facts.foreign
    assert found.name.split()[0] in (name.split()[0], "EagerPyFunc")


def test_the_saver_and_prints_to_the_screen_are_no_danger(
    tf: Any, saved: Callable[[Callable[[Any], Any]], Path]
) -> None:
    def printed(x: Any) -> Any:
        tf.print("shown")
        return x

    facts = read_saved_model(saved(printed))
    assert facts.foreign == ()
    assert facts.signatures == ("main",)
    assert facts.inputs == (InputSpec("x", (2,), "float32"),)
    assert facts.outputs == ("y",)


def test_a_signature_that_runs_the_saver_is_found(
    saved: Callable[[Callable[[Any], Any]], Path],
) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    path = saved(lambda x: x)
    file = path / "saved_model.pb"
    content = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    graph = content.meta_graphs[0]
    graph.signature_def["main"].outputs["y"].name = graph.saver_def.save_tensor_name
    file.write_bytes(content.SerializeToString())
    assert [code.name for code in read_saved_model(path).foreign] == ["SaveV2 outside the saver"]


def test_a_node_that_loading_runs_is_found(tf: Any, tmp_path: Path) -> None:
    """Graphs of TensorFlow 1 name an op in a collection, which loading runs."""
    from tensorflow.core.protobuf import saved_model_pb2

    path, trace = tmp_path / "saved", tmp_path / "trace"
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as run:
        x = v1.placeholder(tf.float32, (1, 2), name="x")
        weight = v1.get_variable("weight", initializer=[1.0, 2.0], use_resource=True)
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": x + weight})
        node = tf.raw_ops.SaveV2(
            prefix=str(trace), tensor_names=["x"], shape_and_slices=[""], tensors=[tf.zeros(1)]
        )
        run.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(run, ["serve"], {"main": signature})
        builder.save()
    assert read_saved_model(path).foreign == ()
    file = path / "saved_model.pb"
    content = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    collection = content.meta_graphs[0].collection_def["saved_model_main_op"]
    collection.node_list.value.append(node.name)
    file.write_bytes(content.SerializeToString())
    assert [code.name for code in read_saved_model(path).foreign] == ["SaveV2 outside the saver"]


@pytest.mark.parametrize("way", ["by the op's name", "as another function's attribute"])
def test_the_savers_function_called_from_elsewhere_is_found(
    tf: Any, saved: Callable[[Callable[[Any], Any]], Path], way: str
) -> None:
    from tfgreen.models.saved_graph import functions_of, read_graph, write_graph

    path = saved(lambda x: x)
    content = read_graph(path)
    functions = {f.signature.name: f for f in functions_of(content)}
    (saver,) = (name for name in functions if "save" in name)
    (own,) = (f for name, f in functions.items() if "inference_function" in name)
    if way == "by the op's name":
        own.node_def.add(name="called", op=saver)
    else:
        called = own.node_def.add(name="called", op="PartitionedCall").attr["f"].func
        (called.name,) = (name for name in functions if "restore" in name)
        called.attr["then"].func.name = saver
    write_graph(content, path)
    assert [code.name for code in read_saved_model(path).foreign] == ["SaveV2 outside the saver"]


def test_keras_configs_beside_the_graph_are_read(keras2: Any, tmp_path: Path) -> None:
    from tests.models.conftest import dense, save

    facts = read_saved_model(save(dense(keras2), tmp_path / "saved"))
    assert {config["class_name"] for config in facts.configs} >= {"Sequential", "Dense"}


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["serve", "serving_default"], "serving_default"),
        (["only"], "only"),
        (["a", "b"], None),
        ([], None),
    ],
)
def test_the_signature_that_runs(names: list[str], chosen: str | None) -> None:
    assert choose_signature(names) == chosen
