"""TfliteModel reads what is in a file, and refuses damaged ones in bounded time."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec
from tfgreen.errors import (
    InvalidModelError,
    MissingPathError,
    UnknownNameError,
    UnsupportedModelError,
)
from tfgreen.flatbuffer import TfliteModel

CLASSIFIER = tiny_models.int8_classifier(features=16, classes=4)


def test_tensors_and_ops_of_a_classifier() -> None:
    model = TfliteModel.from_bytes(CLASSIFIER)
    assert [op.name for op in model.ops] == ["FULLY_CONNECTED", "SOFTMAX"]
    assert model.ops[0].inputs == (0, 1, 2) and model.ops[0].outputs == (3,)
    assert (model.ops[0].version, model.ops[1].options.beta) == (5, 1.0)
    x, weights, bias, logits, scores = model.tensors
    assert (x.shape, x.dtype, x.is_constant, x.size_bytes) == ((1, 16), "int8", False, 0)
    assert (weights.shape, weights.is_constant, weights.size_bytes) == ((4, 16), True, 4 * 16)
    assert (bias.dtype, bias.size_bytes) == ("int32", 4 * 4)
    assert not (weights.is_variable or weights.is_external or weights.is_sparse)
    assert model.subgraph_count == 1 and model.content == CLASSIFIER


def test_quantization_per_tensor_and_per_channel() -> None:
    model = TfliteModel.from_bytes(CLASSIFIER)
    per_tensor = model.tensors[3].quantization
    assert per_tensor.axis is None and per_tensor.zero_points.tolist() == [3]
    assert per_tensor.scales.dtype == np.float32 and per_tensor.scales[0] == np.float32(0.04)
    per_channel = model.tensors[1].quantization
    assert per_channel.axis == 0 and per_channel.zero_points.tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(per_channel.scales, np.linspace(0.005, 0.01, 4), rtol=1e-6)
    assert TfliteModel.from_bytes(tiny_models.float_add()).tensors[0].quantization is None


def test_names_come_from_the_signature_else_from_the_tensors() -> None:
    model = TfliteModel.from_bytes(CLASSIFIER)
    assert (model.input_names, model.output_names) == (("x",), ("scores",))
    assert model.signature_keys == ("serving_default",)
    bare = TfliteModel.from_bytes(tiny_models.float_add())
    assert (bare.input_names, bare.output_names) == (("a", "b"), ("sum",))
    assert bare.signature_keys == ()


def test_signature_names_follow_the_graph_order_not_their_own() -> None:
    specs = [TensorSpec(name, (1, 2), "float32") for name in ("a", "b", "sum")]
    content = tiny_models.build(
        specs,
        [OpSpec("ADD", ["a", "b"], ["sum"])],
        ["a", "b"],
        ["sum"],
        signature=({"second": "b", "first": "a"}, {"total": "sum"}),
    )
    assert TfliteModel.from_bytes(content).input_names == ("first", "second")


def test_producer_consumers_and_tensor_index() -> None:
    model = TfliteModel.from_bytes(CLASSIFIER)
    assert model.producer(3) is model.ops[0]
    assert model.producer(0) is None and model.producer(1) is None
    assert model.consumers(3) == (model.ops[1],) and model.consumers(4) == ()
    assert model.tensor_index("logits") == 3
    with pytest.raises(UnknownNameError, match="Did you mean 'logits'"):
        model.tensor_index("logit")


def test_constant_gives_the_stored_values() -> None:
    model = TfliteModel.from_bytes(CLASSIFIER)
    expected = np.random.default_rng(0).integers(-127, 128, (4, 16), np.int8)
    np.testing.assert_array_equal(model.constant(1), expected)
    assert model.constant(2).dtype == np.int32 and model.constant(2).shape == (4,)
    with pytest.raises(UnsupportedModelError, match="is an activation"):
        model.constant(0)


@pytest.mark.parametrize(
    ("dtype", "packed", "expected"),
    [
        ("int4", b"\x1f\xf8\x07", [-1, 1, -8, -1, 7]),  # low half first: 0x1f is 15 (-1), then 1
        ("uint4", b"\x1f\xf8\x07", [15, 1, 8, 15, 7]),
        ("int2", b"\xe4\x02", [0, 1, -2, -1, -2]),  # 0xe4 = 3 2 1 0 from the top
        ("bfloat16", np.array([0x3F80, 0xC000], "<u2").tobytes(), [1.0, -2.0]),
        ("float16", np.array([1.5, -0.25], "<f2").tobytes(), [1.5, -0.25]),
        ("bool", b"\x01\x00", [True, False]),
    ],
)
def test_constants_of_narrow_types_are_unpacked(
    dtype: str, packed: bytes, expected: list[float]
) -> None:
    specs = [TensorSpec("c", (len(expected),), dtype, data=packed), TensorSpec("y", (1,), "int8")]
    content = tiny_models.build(specs, [OpSpec("CAST", ["c"], ["y"])], [], ["y"])
    assert TfliteModel.from_bytes(content).constant(0).tolist() == expected


def test_custom_and_flex_ops_are_named() -> None:
    custom = TfliteModel.from_bytes(tiny_models.custom_op("Mystery"))
    assert custom.ops[0].name == "CUSTOM:Mystery"
    assert TfliteModel.from_bytes(tiny_models.custom_op("FlexErf")).ops[0].name == "FLEX:Erf"


def test_absent_optional_inputs_are_minus_one() -> None:
    content = tiny_models.build(
        [
            TensorSpec("x", (1, 2), "float32"),
            TensorSpec("w", (1, 2), "float32", data=np.ones((1, 2), np.float32)),
            TensorSpec("y", (1, 1), "float32"),
        ],
        [OpSpec("FULLY_CONNECTED", ["x", "w", ""], ["y"])],
        ["x"],
        ["y"],
    )
    assert TfliteModel.from_bytes(content).ops[0].inputs == (0, 1, -1)


def test_external_constants_are_marked_and_read() -> None:
    model = TfliteModel.from_bytes(tiny_models.with_external_buffers(CLASSIFIER))
    assert [tensor.is_external for tensor in model.tensors] == [False, True, True, False, False]
    original = TfliteModel.from_bytes(CLASSIFIER)
    np.testing.assert_array_equal(model.constant(1), original.constant(1))
    with pytest.raises(InvalidModelError, match="cut off"):
        TfliteModel.from_bytes(model.content[:-8])


def test_blockwise_scales_are_read_from_their_tensor() -> None:
    scales = np.array([[0.5, 0.25], [1.0, 2.0]], np.float16)
    content = tiny_models.build(
        [
            TensorSpec("x", (1, 64), "float32"),
            TensorSpec("w", (2, 64), "int4", data=bytes(64)),
            TensorSpec("w_scales", (2, 2), "float16", data=scales),
            TensorSpec("y", (1, 2), "float32"),
        ],
        [OpSpec("FULLY_CONNECTED", ["x", "w", ""], ["y"])],
        ["x"],
        ["y"],
    )
    root = tiny_models.unpack(content)
    schema = tiny_models.schema
    details = schema.BlockwiseQuantizationT(scales=2, zeroPoints=-1, blockSize=32)
    root.subgraphs[0].tensors[1].quantization = schema.QuantizationParametersT(
        detailsType=schema.QuantizationDetails.BlockwiseQuantization, details=details
    )
    quantization = TfliteModel.from_bytes(tiny_models.pack(root)).tensors[1].quantization
    assert quantization.block_size == 32 and quantization.axis == 0
    assert quantization.scales.tolist() == [0.5, 0.25, 1.0, 2.0]


def test_read_from_disk(tmp_path) -> None:
    path = tmp_path / "מודל שלי.tflite"
    path.write_bytes(CLASSIFIER)
    assert len(TfliteModel.read(path).ops) == 2
    with pytest.raises(MissingPathError, match="There is no file"):
        TfliteModel.read(tmp_path / "absent.tflite")
    with pytest.raises(InvalidModelError, match="cannot be read"):
        TfliteModel.read(tmp_path)
    other = tmp_path / "model.keras"
    other.write_bytes(b"PK\3\4 and so on")
    with pytest.raises(InvalidModelError, match=r"model\.keras: .* not a \.tflite file"):
        TfliteModel.read(other)


@pytest.mark.parametrize("content", [b"", b"TFL3", b"a text file", b"\x1c\0\0\0TFL2" + bytes(64)])
def test_what_is_no_tflite_file_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidModelError, match="not a .tflite file"):
        TfliteModel.from_bytes(content)


def test_every_truncation_is_refused() -> None:
    content = tiny_models.int8_classifier(features=4, classes=2)
    for length in range(0, len(content) - 1, 7):
        with pytest.raises(InvalidModelError):
            TfliteModel.from_bytes(content[:length])


def _damaged(change) -> bytes:
    root = tiny_models.unpack(CLASSIFIER)
    change(root, root.subgraphs[0])
    return tiny_models.pack(root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root, graph: setattr(graph.operators[0], "inputs", [0, 99, 2]), "names tensor 99"),
        (lambda root, graph: setattr(graph.operators[0], "outputs", [-1]), "names tensor -1"),
        (lambda root, graph: setattr(graph.operators[0], "opcodeIndex", 7), "operator code 7"),
        (lambda root, graph: setattr(graph.tensors[1], "buffer", 50), "names buffer 50"),
        (lambda root, graph: setattr(graph, "inputs", [5]), "list of graph inputs names tensor 5"),
        (lambda root, graph: setattr(graph, "outputs", [9]), "list of graph outputs"),
        (lambda root, graph: setattr(graph.tensors[0], "shape", [1, -5]), "shape (1, -5)"),
        (lambda root, graph: setattr(graph.tensors[0], "type", 99), "type 99"),
        (lambda root, graph: setattr(graph.tensors[1], "shape", [4, 17]), "needs 68 bytes"),
        (lambda root, graph: setattr(graph.tensors[1].quantization, "zeroPoint", [0, 0]), "scales"),
        (
            lambda root, graph: setattr(graph.tensors[1].quantization, "quantizedDimension", 2),
            "quantized dimension 2",
        ),
        (
            lambda root, graph: setattr(root.signatureDefs[0].inputs[0], "tensorIndex", 44),
            "a signature names tensor 44",
        ),
        (lambda root, graph: setattr(root, "subgraphs", []), "no subgraph"),
    ],
)
def test_indices_out_of_range_are_named(change, message: str) -> None:
    with pytest.raises(InvalidModelError) as caught:
        TfliteModel.from_bytes(_damaged(change))
    assert message in str(caught.value)


def test_an_unknown_operator_code_is_refused() -> None:
    content = _damaged(lambda root, graph: setattr(root.operatorCodes[0], "builtinCode", 30_000))
    with pytest.raises(InvalidModelError, match="operator code 30000"):
        TfliteModel.from_bytes(content)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(8, 1 << 16), st.integers(0, 255)), min_size=1, max_size=6))
def test_flipped_bytes_are_read_or_refused_quickly(flips: list[tuple[int, int]]) -> None:
    damaged = bytearray(CLASSIFIER)
    for position, value in flips:
        damaged[8 + position % (len(damaged) - 8)] = value
    start = time.perf_counter()
    try:
        model = TfliteModel.from_bytes(bytes(damaged))
        for tensor in model.tensors:
            if tensor.is_constant and tensor.dtype not in {"string", "resource", "variant"}:
                model.constant(tensor.index)
    except (InvalidModelError, UnsupportedModelError):
        pass
    assert time.perf_counter() - start < 2


def test_overlapping_tables_are_refused_before_they_are_unpacked() -> None:
    root = tiny_models.unpack(CLASSIFIER)
    content = bytearray(tiny_models.pack(root))
    reader = tiny_models.schema.Model.GetRootAs(bytes(content), 0)
    field = reader._tab.Offset(12)  # the vector of buffers
    vector = reader._tab.Pos + field
    vector += int.from_bytes(content[vector : vector + 4], "little")
    content[vector : vector + 4] = (1 << 30).to_bytes(4, "little")
    with pytest.raises(InvalidModelError, match="overlap"):
        TfliteModel.from_bytes(bytes(content))
