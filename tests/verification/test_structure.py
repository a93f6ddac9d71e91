"""The structure gate with faults planted one by one: each is found, and by name."""

from __future__ import annotations

import numpy as np
import pytest

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.errors import InvalidProfileError
from tfgreen.profile import ExportProfile, list_profiles, load_profile
from tfgreen.verification.certificate import Check
from tfgreen.verification.shipped import Shipped
from tfgreen.verification.structure import check_structure, refuse_unknown_ops

INT8 = load_profile("mobile-int8")
MICRO = load_profile("microcontroller-int8")
ACTIVATION = {"scale": 0.05, "zero_point": 3}


def checks(content: bytes, profile: ExportProfile = INT8, **options: object) -> list[Check]:
    return list(check_structure(Shipped.of(content), profile, **options).checks)


def failures(content: bytes, profile: ExportProfile = INT8, **options: object) -> dict[str, str]:
    """Name to message; of several under one name the first."""
    found = [c for c in checks(content, profile, **options) if c.status == "failed"]
    return {c.name: c.message for c in reversed(found)}


def graph(
    *ops: OpSpec, inputs: str = "x", outputs: str = "y", extra: tuple[TensorSpec, ...] = ()
) -> bytes:
    """A model over int8 tensors (1, 4) of the same scale, with `extra` tensors of other kinds."""
    names = {name for op in ops for name in (*op.inputs, *op.outputs)} | {inputs, outputs}
    known = {tensor.name for tensor in extra}
    plain = [TensorSpec(name, (1, 4), **ACTIVATION) for name in sorted(names - known)]
    return build([*plain, *extra], ops, [inputs], [outputs])


def float_tensor(name: str) -> TensorSpec:
    return TensorSpec(name, (1, 4), "float32")


def test_a_sound_file_passes() -> None:
    assert failures(tiny_models.int8_classifier()) == {}
    assert failures(tiny_models.int8_conv()) == {}


def test_wrong_boundary_dtypes() -> None:
    found = failures(tiny_models.int8_classifier(), INT8.with_overrides(io="uint8:float32"))
    assert found["input-dtype"] == "The input 'x' is int8; the profile asks for uint8."
    assert found["output-dtype"] == "The output 'scores' is int8; the profile asks for float32."


def test_plain_integer_inputs_need_no_quantization() -> None:
    tensors = [
        TensorSpec("ids", (1, 2), "int32"),
        TensorSpec("table", (8, 4), scale=0.05, data=np.zeros((8, 4), np.int8)),
        TensorSpec("rows", (1, 2, 4), scale=0.05),
    ]
    content = build(tensors, [OpSpec("GATHER", ["table", "ids"], ["rows"])], ["ids"], ["rows"])
    assert failures(content) == {}


def test_wrong_batch() -> None:
    found = failures(tiny_models.int8_conv(batch=2))
    assert found == {"batch": "The input 'image' takes 2 samples a call; the profile asks for 1."}
    assert failures(tiny_models.int8_conv(batch=2), INT8.with_overrides(batch=2)) == {}


def test_unknown_dimension() -> None:
    root = tiny_models.unpack(tiny_models.int8_classifier())
    root.subgraphs[0].tensors[0].shapeSignature = np.array([-1, 16], np.int32)
    content = tiny_models.pack(root)
    assert [c.status for c in checks(content) if c.name == "batch"] == ["warning"]
    assert "fixed batch" in failures(content, MICRO)["batch"]


def test_op_outside_the_list() -> None:
    content = graph(OpSpec("GELU", ["x"], ["y"]))
    expected = "GELU 'y' is not among the ops that the profile's target takes."
    assert failures(content, load_profile("coral-edgetpu-int8")) == {"ops": expected}
    assert failures(content) == {}


def test_custom_and_flex_ops() -> None:
    assert "custom op" in failures(tiny_models.custom_op("Mystery"))["ops"]
    flex = tiny_models.custom_op("FlexErf")
    assert "Flex delegate" in failures(flex)["ops"]
    allowed = checks(flex, allow_select_ops=True)
    assert [c.status for c in allowed if c.name == "ops"] == ["warning"]
    assert "custom op" in failures(tiny_models.custom_op("Mystery"), allow_select_ops=True)["ops"]


def test_float_island_is_named_with_its_tensor() -> None:
    content = graph(
        OpSpec("DEQUANTIZE", ["x"], ["wide"]),
        OpSpec("NEG", ["wide"], ["negated"]),
        OpSpec("QUANTIZE", ["negated"], ["y"]),
        extra=(float_tensor("wide"), float_tensor("negated")),
    )
    islands = [c for c in checks(content) if c.name == "float-island"]
    assert [c.op for c in islands] == ["NEG 'negated'"]
    assert (
        islands[0].message == "NEG 'negated' computes in float32: a float island in a "
        "full-integer file."
    )
    surplus = [c.op for c in checks(content) if c.name == "surplus-conversion"]
    assert surplus == ["DEQUANTIZE 'wide'", "QUANTIZE 'y'"]


def test_a_float_file_is_one_island() -> None:
    found = failures(tiny_models.float_classifier())
    assert set(found) == {"input-dtype", "output-dtype", "float-island", "weight-dtype"}
    assert found["weight-dtype"].endswith("stores 64 weights as float32; the scheme int8 has int8.")


def test_many_failures_are_counted_after_the_first_ten() -> None:
    names = [f"t{i}" for i in range(14)]
    ops = [OpSpec("ABS", [a], [b]) for a, b in zip(names, names[1:], strict=False)]
    tensors = [float_tensor(name) for name in names]
    found = [
        c.message for c in checks(build(tensors, ops, ["t0"], ["t13"])) if c.name == "float-island"
    ]
    assert len(found) == 11
    assert found[-1] == "The same is wrong with 3 more ops."


def test_activation_of_another_width() -> None:
    wide = TensorSpec("wide", (1, 4), "int16", scale=0.001)
    content = graph(
        OpSpec("ADD", ["x", "x"], ["wide"]), OpSpec("ADD", ["wide", "wide"], ["y"]), extra=(wide,)
    )
    assert failures(content) == {
        "activation-dtype": "ADD 'wide' writes int16; the scheme int8 has int8."
    }


@pytest.mark.parametrize("scale", [0.0, float("nan")])
def test_scale_that_is_none(scale: float) -> None:
    tensors = [TensorSpec("x", (1, 4), scale=scale), TensorSpec("y", (1, 4), scale=0.1)]
    content = build(tensors, [OpSpec("ADD", ["x", "x"], ["y"])], ["x"], ["y"])
    assert "'x'" in failures(content)["scale"]


def test_constants_outside_the_flatbuffer() -> None:
    content = tiny_models.with_external_buffers(tiny_models.int8_classifier())
    assert "'weights' lies outside" in failures(content)["external-constants"]


def test_further_subgraphs_are_told() -> None:
    root = tiny_models.unpack(tiny_models.int8_classifier())
    root.subgraphs.append(root.subgraphs[0])
    found = [c for c in checks(tiny_models.pack(root)) if c.name == "subgraphs"]
    assert [c.status for c in found] == ["warning"]
    assert "1 further subgraph " in found[0].message


def test_file_budget() -> None:
    content = tiny_models.int8_classifier()
    size = len(content)
    exact, tight = INT8.with_overrides(flash=size), INT8.with_overrides(flash=size - 1)
    assert failures(content, exact) == {}
    assert failures(content, tight) == {
        "file-bytes": f"The file takes {size:,} bytes, 1 byte over the budget of {size - 1:,}."
    }


def test_arena_budget() -> None:
    content = tiny_models.int8_classifier()
    tight = MICRO.with_overrides(arena=1000)
    assert "24 bytes over" in failures(content, tight, arena_bytes=1024)["arena-bytes"]
    assert failures(content, tight, arena_bytes=1000) == {}
    unmeasured = [c for c in checks(content, tight) if c.name == "arena-bytes"]
    assert [c.status for c in unmeasured] == ["warning"]


def test_all_failures_are_collected() -> None:
    content = tiny_models.with_external_buffers(tiny_models.float_classifier())
    profile = load_profile("coral-edgetpu-int8").with_overrides(flash=100, batch=2)
    assert set(failures(content, profile)) >= {
        "input-dtype", "output-dtype", "batch", "float-island", "weight-dtype",
        "external-constants", "file-bytes",
    }  # fmt: skip


def test_an_allowed_op_that_does_not_exist_is_refused() -> None:
    misspelt = INT8.model_copy(update={"ops": ("ADD", "CONV2D")})
    with pytest.raises(InvalidProfileError, match="'CONV2D'.*Did you mean 'CONV_2D'"):
        refuse_unknown_ops(misspelt)


@pytest.mark.parametrize("name", list_profiles())
def test_the_bundled_profiles_allow_ops_that_exist(name: str) -> None:
    refuse_unknown_ops(load_profile(name))


def test_an_empty_list_allows_no_op() -> None:
    nothing = INT8.model_copy(update={"ops": ()})
    assert set(failures(tiny_models.int8_classifier(), nothing)) == {"ops"}


def test_layers_of_16_bits_where_a_repair_made_them() -> None:
    wide = TensorSpec("wide", (1, 4), "int16", scale=0.001)
    content = graph(
        OpSpec("ADD", ["x", "x"], ["wide"]), OpSpec("ADD", ["wide", "wide"], ["y"]), extra=(wide,)
    )
    allowed = INT8.model_copy(update={"wider_layers": "allowed"})
    assert failures(content, allowed) == {}
    (told,) = [c.message for c in checks(content, allowed) if c.name == "activation-dtype"]
    assert told == "Every quantized activation is int8, but for 1 of 16 bits."


def test_a_scale_a_channel_where_the_target_takes_one() -> None:
    one_scale = INT8.model_copy(update={"weight_scales": "tensor"})
    weights = [
        TensorSpec("w", (4, 4), scale=scale, data=np.zeros((4, 4), np.int8))
        for scale in (0.1, [0.1] * 4)
    ]
    dense = OpSpec("FULLY_CONNECTED", ["x", "w"], ["y"])
    assert failures(graph(dense, extra=(weights[0],)), one_scale) == {}
    found = failures(graph(dense, extra=(weights[1],)), one_scale)
    assert found["weight-scales"].startswith("The weights of FULLY_CONNECTED 'y' have a scale a")
    assert "weight-scales" not in failures(graph(dense, extra=(weights[1],)))
