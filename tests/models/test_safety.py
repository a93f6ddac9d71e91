from __future__ import annotations

from typing import Any

import pytest

from tfgreen.errors import UnsafeModelError
from tfgreen.models.safety import ForeignCode, refuse_foreign_code, scan_config


def keras3(class_name: str, module: str | None, registered: str | None = None) -> dict[str, Any]:
    return {
        "class_name": class_name,
        "module": module,
        "registered_name": registered,
        "config": {"name": "layer"},
    }


def old(class_name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": {"name": "layer", **config}}


@pytest.mark.parametrize(
    "node",
    [
        old("Dense", kernel_initializer=old("glorot_uniform")),
        old("QuantizeWrapperV2", layer=old("Conv2D")),
        old("TFOpLambda", function="math.multiply"),
        old("TFOpLambda", function="compat.v1.transpose"),
        old("SlicingOpLambda", function="__operators__.getitem"),
        old("StringLookup", vocabulary=["a", "b"]),
        keras3("Dense", "keras.layers"),
        keras3("LayerOfTheFuture", "keras.layers"),
        keras3("Add", "keras.src.ops.numpy", "Add"),
        keras3("RoundedWeights", "tfgreen.models.qat_layers", "tfgreen>RoundedWeights"),
        keras3("Functional", "keras.src.models.functional", "Functional"),
        keras3("Sequential", "keras"),
        keras3(
            "QuantizeAwareActivation",
            "tensorflow_model_optimization.python.core.quantization.keras",
        ),
        {"class_name": "function", "module": "builtins", "config": "swish"},
        {"class_name": "__tensor__", "config": {"value": [1.0]}},
        {
            "class_name": "Sequential",
            "config": {},
            "compile_config": {
                "optimizer": keras3("Adam", "keras.optimizers"),
                "loss": {"class_name": "function", "module": "builtins", "config": "mse"},
            },
        },
    ],
)
def test_what_keras_writes_itself_is_no_foreign_code(node: dict[str, Any]) -> None:
    assert scan_config({"layers": [node]}).foreign == ()


@pytest.mark.parametrize(
    ("node", "kind", "name"),
    [
        (
            old("Lambda", function=["bytecode", None, None], function_type="lambda"),
            "lambda",
            "Lambda",
        ),
        (
            old("Lambda", function="f", function_type="function", output_shape_type="lambda"),
            "lambda",
            "Lambda",
        ),
        (
            old(
                "Lambda",
                function={"class_name": "function", "module": "builtins", "config": "relu"},
                mask=["bytecode", None, None],
                mask_type="lambda",
            ),
            "lambda",
            "Lambda",
        ),
        (old("Lambda", function="f", function_type="function"), "function", "f"),
        (old("Dense", activation={"class_name": "__lambda__", "config": {}}), "lambda", "Lambda"),
        (keras3("TFSMLayer", "keras.layers"), "lambda", "TFSMLayer"),
        (keras3("TorchModuleWrapper", "keras.layers"), "lambda", "TorchModuleWrapper"),
        (old("Mine"), "class", "Mine"),
        (keras3("Mine", None, "Mine"), "class", "Mine"),
        (keras3("Mine", None, "pack>Mine"), "class", "pack>Mine"),
        (keras3("Dense", None, "Dense"), "class", "Dense"),
        (
            keras3("RoundedWeights", "os", "tfgreen>RoundedWeights"),
            "class",
            "tfgreen>RoundedWeights",
        ),
        (keras3("Popen", "subprocess"), "class", "Popen"),
        (keras3("get_file", "keras.utils"), "class", "get_file"),
        (keras3("Dense", "keras_of_somebody_else"), "class", "Dense"),
        ({"class_name": "function", "module": "builtins", "config": "exec"}, "function", "exec"),
        ({"class_name": "function", "module": "os", "config": "system"}, "function", "system"),
        ({"class_name": "function", "module": "os", "config": "relu"}, "function", "relu"),
        ({"class_name": "function", "module": "os", "config": "mse"}, "function", "mse"),
        (
            {"class_name": "Sequential", "config": {}, "compile_config": {"loss": old("Lambda")}},
            "lambda",
            "Lambda",
        ),
        (old("TFOpLambda", function="io.write_file"), "op", "tf.io.write_file"),
        (old("TFOpLambda", function="py_function"), "op", "tf.py_function"),
        (old("TensorFlowOpLayer", node_def="..."), "class", "TensorFlowOpLayer"),
        (old("TextVectorization", vocabulary="/etc/passwd"), "op", "reading the file /etc/passwd"),
    ],
)
def test_foreign_code_is_found_at_any_depth(node: dict[str, Any], kind: str, name: str) -> None:
    config = {"config": {"layers": [old("Dense"), {"deep": [[node]]}]}, "class_name": "Sequential"}
    (found,) = scan_config(config).foreign
    assert (found.kind, found.name) == (kind, name)


@pytest.mark.parametrize("key", ["compile_config", "training_config", "optimizer_config"])
def test_the_training_of_the_model_itself_is_not_resumed(key: str) -> None:
    assert scan_config({"class_name": "Sequential", "config": {}, key: old("MyLoss")}).foreign == ()


def test_foreign_code_tells_its_layer() -> None:
    config = {"layers": [{"class_name": "Lambda", "config": {"name": "doubled"}}]}
    assert [str(code) for code in scan_config(config).foreign] == ["Lambda in layer 'doubled'"]


def test_a_deep_config_does_not_exhaust_the_stack() -> None:
    config: Any = old("Mine")
    for _ in range(100_000):
        config = [config]
    assert len(scan_config(config).foreign) == 1


MINE = ForeignCode("class", "pack>Mine", "m")
BYTECODE = ForeignCode("lambda", "Lambda", "l")


@pytest.mark.parametrize("known", [{"pack>Mine"}, {"Mine"}, None])
def test_known_classes_pass(known: set[str] | None) -> None:
    refuse_foreign_code("m", [MINE], known, allow_unsafe=False)


@pytest.mark.parametrize("known", [{"Lambda"}, None])
def test_no_custom_object_explains_bytecode(known: set[str] | None) -> None:
    with pytest.raises(UnsafeModelError, match="Lambda in layer 'l'"):
        refuse_foreign_code("m", [BYTECODE], known, allow_unsafe=False)


def test_everything_passes_when_it_is_allowed() -> None:
    refuse_foreign_code("m", [MINE, BYTECODE], set(), allow_unsafe=True)


def test_the_refusal_names_each_way_out() -> None:
    with pytest.raises(UnsafeModelError, match="custom_objects.*allow_unsafe") as refusal:
        refuse_foreign_code("'m.keras'", [MINE], set(), allow_unsafe=False)
    assert "'m.keras'" in str(refusal.value)
    assert refusal.value.exit_code == 1
