"""The resolver's names are those that TensorFlow Lite Micro itself has."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests import tiny_models
from tests.targets.microcontroller.compiling import STAND_IN, compiled, output_of
from tests.tiny_models import OpSpec, TensorSpec
from tfgreen.errors import UnsupportedModelError
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import load_profile
from tfgreen.targets.microcontroller.op_resolver import resolver_calls, resolver_functions

BUILTIN = {op: name for op, name in resolver_functions().items() if ":" not in op}
# A reference implementation beside L2_NORMALIZATION, and an example of a third-party op.
NO_OPS = {"L2NORM_REF", "BASIC_CLASSIFIER"}
CUSTOM = {"CIRCULAR_BUFFER", "DECODE", "DETECTION_POSTPROCESS", "ETHOSU"}


def symbols(pattern: bytes) -> set[str]:
    """Names that the compiled TFLM holds, without its signal processing."""
    if find_spec("tflite_micro") is None:
        pytest.skip("needs tflite-micro")
    spec = find_spec("tflite_micro.python.tflite_micro._runtime")
    assert spec is not None and spec.origin is not None
    return {found.decode() for found in re.findall(pattern, Path(spec.origin).read_bytes())}


def test_the_table_is_what_the_wheel_registers() -> None:
    registered = symbols(rb"\0_ZN6tflite5micro\d+Register_([A-Z0-9_]+)Ev(?=\0)")
    assert registered - NO_OPS - CUSTOM == set(BUILTIN)
    assert set(load_profile("microcontroller-int8").ops or ()) == set(BUILTIN)


def test_names_are_spelled_as_the_wheel_spells_its_parsers() -> None:
    parsers = symbols(rb"\0_ZN6tflite5micro\d+Parse([A-Z]\w+?)EPKNS")
    by_letters = {name.lower(): name for name in parsers}
    compared = {
        op: name for op, name in BUILTIN.items() if name.removeprefix("Add").lower() in by_letters
    }
    assert len(compared) > 80
    # Its parser is called ParseCumsum, its function AddCumSum.
    del compared["CUMSUM"]
    for op, name in compared.items():
        assert name == f"Add{by_letters[op.replace('_', '').lower()]}"


def test_names_have_the_letters_of_their_ops() -> None:
    for op, name in BUILTIN.items():
        assert name.lower() == f"add{op.replace('_', '').lower()}"


def test_every_function_is_declared(tmp_path: Path) -> None:
    names = sorted(resolver_functions().values())
    calls = " + ".join(f"resolver.{name}()" for name in names)
    (tmp_path / "main.cc").write_text(
        '#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"\n'
        f"int main() {{\n  tflite::MicroMutableOpResolver<{len(names)}> resolver;\n"
        f"  return static_cast<int>({calls});\n}}\n"
    )
    options = [f"-I{STAND_IN}", "-DTF_LITE_STATIC_MEMORY"]
    output_of(compiled([tmp_path / "main.cc"], tmp_path / "all", standard="c++11", options=options))


def test_each_kind_of_op_is_called_once() -> None:
    model = TfliteModel.from_bytes(tiny_models.int8_classifier())
    assert resolver_calls(model) == ("AddFullyConnected", "AddSoftmax")


def test_ops_in_loop_bodies_count() -> None:
    root = tiny_models.unpack(tiny_models.int8_classifier())
    other = tiny_models.unpack(tiny_models.int8_conv())
    for op in other.subgraphs[0].operators:
        op.opcodeIndex += len(root.operatorCodes)
    for tensor in other.subgraphs[0].tensors:
        tensor.buffer = 0
    root.operatorCodes = [*root.operatorCodes, *other.operatorCodes]
    root.subgraphs = [*root.subgraphs, *other.subgraphs]
    model = TfliteModel.from_bytes(tiny_models.pack(root))
    assert resolver_calls(model) == ("AddConv2D", "AddFullyConnected", "AddSoftmax")


@pytest.mark.parametrize("name", ["GELU", "DENSIFY"])
def test_an_op_without_a_function_is_refused(name: str) -> None:
    tensors = [TensorSpec("x", (1, 4), "float32"), TensorSpec("y", (1, 4), "float32")]
    content = tiny_models.build(tensors, [OpSpec(name, ["x"], ["y"])], ["x"], ["y"])
    with pytest.raises(UnsupportedModelError, match=f"registers no {name}"):
        resolver_calls(TfliteModel.from_bytes(content))


def test_a_foreign_custom_op_is_refused() -> None:
    model = TfliteModel.from_bytes(tiny_models.custom_op("Mystery"))
    with pytest.raises(UnsupportedModelError, match="registers no CUSTOM:Mystery"):
        resolver_calls(model)
