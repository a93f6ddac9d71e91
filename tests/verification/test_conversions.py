"""Surplus QUANTIZE and DEQUANTIZE ops, and those that are none."""

from __future__ import annotations

import numpy as np

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import ExportProfile, load_profile
from tfgreen.verification.conversions import surplus_conversions

INT8 = load_profile("mobile-int8")
COARSE, FINE = {"scale": 0.1}, {"scale": 0.05}


def surplus(content: bytes, profile: ExportProfile = INT8) -> list[tuple[str, str]]:
    model = TfliteModel.from_bytes(content)
    return [
        (f"{op.name} {model.tensors[op.outputs[0]].name}", reason)
        for op, reason in surplus_conversions(model, profile)
    ]


def tensors(**kinds: dict[str, object]) -> list[TensorSpec]:
    return [TensorSpec(name, (1, 4), **kind) for name, kind in kinds.items()]


FLOAT: dict[str, object] = {"dtype": "float32"}


def boundary() -> bytes:
    names = tensors(x=FLOAT, q=COARSE, s=FINE, y=FLOAT)
    ops = [
        OpSpec("QUANTIZE", ["x"], ["q"]),
        OpSpec("ADD", ["q", "q"], ["s"]),
        OpSpec("DEQUANTIZE", ["s"], ["y"]),
    ]
    return build(names, ops, ["x"], ["y"])


def test_the_declared_boundary_is_no_surplus() -> None:
    assert surplus(boundary(), INT8.with_overrides(io="float32")) == []


def test_an_undeclared_boundary_is() -> None:
    assert surplus(boundary()) == [
        ("QUANTIZE q", "turns float32 into int8 inside the graph"),
        ("DEQUANTIZE y", "turns int8 into float32 inside the graph"),
    ]


def test_uint8_boundary() -> None:
    names = tensors(x={"dtype": "uint8", **COARSE}, q=COARSE, y=FINE)
    ops = [OpSpec("QUANTIZE", ["x"], ["q"]), OpSpec("ADD", ["q", "q"], ["y"])]
    content = build(names, ops, ["x"], ["y"])
    assert surplus(content, INT8.with_overrides(io="uint8:int8")) == []
    assert surplus(content)[0][0] == "QUANTIZE q"


def test_a_pair_undoes_itself() -> None:
    names = tensors(x=COARSE, wide=FLOAT, y=COARSE)
    ops = [OpSpec("DEQUANTIZE", ["x"], ["wide"]), OpSpec("QUANTIZE", ["wide"], ["y"])]
    found = surplus(build(names, ops, ["x"], ["y"]))
    assert found[1] == ("QUANTIZE y", "undoes DEQUANTIZE 'wide'")
    names = tensors(x=COARSE, wide=FLOAT, y=FINE)
    found = surplus(build(names, ops, ["x"], ["y"]))
    assert found[1][1] == "undoes DEQUANTIZE 'wide' and rounds once more"


def test_requantization_to_the_same_scale_does_nothing() -> None:
    names = tensors(x=COARSE, y=COARSE)
    found = surplus(build(names, [OpSpec("QUANTIZE", ["x"], ["y"])], ["x"], ["y"]))
    assert found == [("QUANTIZE y", "does nothing: its input has the same scale and zero point")]


def requantized_for(reader: str) -> bytes:
    names = [*tensors(x=COARSE, q=FINE, z=FINE), TensorSpec("y", (2, 4), **FINE)]
    ops = [OpSpec("QUANTIZE", ["x"], ["q"]), OpSpec(reader, ["q", "z"], ["y"])]
    return build(names, ops, ["x", "z"], ["y"])


def test_requantization_that_the_next_op_needs() -> None:
    assert surplus(requantized_for("CONCATENATION")) == []
    assert surplus(requantized_for("ADD")) == [
        ("QUANTIZE q", "is needed by none of its readers: ADD takes any scale")
    ]


def test_the_same_conversion_twice() -> None:
    names = tensors(x=FLOAT, a=COARSE, b=COARSE, y=FINE)
    ops = [
        OpSpec("QUANTIZE", ["x"], ["a"]),
        OpSpec("QUANTIZE", ["x"], ["b"]),
        OpSpec("ADD", ["a", "b"], ["y"]),
    ]
    content = build(names, ops, ["x"], ["y"])
    profile = INT8.with_overrides(io="float32:int8")
    assert surplus(content, profile) == [("QUANTIZE b", "repeats QUANTIZE 'a'")]


def test_unpacking_a_stored_weight_is_no_surplus_where_weights_alone_are_small() -> None:
    names = [
        TensorSpec("x", (1, 4), "float32"),
        TensorSpec("half", (2, 4), "float16", data=np.ones((2, 4), np.float16)),
        TensorSpec("weights", (2, 4), "float32"),
        TensorSpec("y", (1, 2), "float32"),
    ]
    ops = [
        OpSpec("DEQUANTIZE", ["half"], ["weights"]),
        OpSpec("FULLY_CONNECTED", ["x", "weights", ""], ["y"]),
    ]
    content = build(names, ops, ["x"], ["y"])
    assert surplus(content, load_profile("mobile-float16")) == []
    assert [name for name, _ in surplus(content)] == ["DEQUANTIZE weights"]


def test_a_sound_file_has_none() -> None:
    assert surplus(tiny_models.int8_classifier()) == []


def test_between_layers_of_8_and_16_bits_it_is_needed_where_these_are_allowed() -> None:
    names = [
        TensorSpec("x", (1, 4), scale=0.1),
        TensorSpec("wide", (1, 4), "int16", scale=0.001),
        TensorSpec("sum", (1, 4), "int16", scale=0.001),
        TensorSpec("y", (1, 4), scale=0.1),
    ]
    ops = [
        OpSpec("QUANTIZE", ["x"], ["wide"]),
        OpSpec("ADD", ["wide", "wide"], ["sum"]),
        OpSpec("QUANTIZE", ["sum"], ["y"]),
    ]
    content = build(names, ops, ["x"], ["y"])
    assert [label for label, _ in surplus(content)] == ["QUANTIZE wide", "QUANTIZE y"]
    assert surplus(content, INT8.model_copy(update={"wider_layers": "allowed"})) == []
