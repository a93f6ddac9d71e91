"""Edits: single ops, other outputs, ranges and constants, each read back and run."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec
from tfgreen.errors import UnsupportedModelError, UsageError
from tfgreen.flatbuffer import (
    TfliteModel,
    cut_op,
    inline_external_buffers,
    with_constants,
    with_outputs,
    with_ranges,
)

CLASSIFIER = tiny_models.int8_classifier()


def _read(content: bytes) -> TfliteModel:
    return TfliteModel.from_bytes(content)


def run(content: bytes, *inputs: np.ndarray) -> list[np.ndarray]:
    interpreter = Interpreter(
        model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"]).copy() for d in interpreter.get_output_details()]


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(3).integers(-128, 128, (1, 16), np.int8)


def test_cut_ops_chained_equal_the_whole(x: np.ndarray) -> None:
    model = TfliteModel.from_bytes(CLASSIFIER)
    value = x
    for op in model.ops:
        (value,) = run(cut_op(model, op.index), value)
    np.testing.assert_array_equal(value, run(CLASSIFIER, x)[0])


def test_a_cut_op_keeps_constants_quantization_options_and_version() -> None:
    model = TfliteModel.from_bytes(CLASSIFIER)
    cut = TfliteModel.from_bytes(cut_op(model, 0))
    (op,) = cut.ops
    assert (op.name, op.version, len(cut.tensors)) == ("FULLY_CONNECTED", 5, 4)
    assert [cut.tensors[i].name for i in cut.inputs] == ["serving_x:0"]
    assert [cut.tensors[i].name for i in cut.outputs] == ["logits"]
    np.testing.assert_array_equal(cut.constant(op.inputs[1]), model.constant(1))
    old, new = model.tensors[1].quantization, cut.tensors[op.inputs[1]].quantization
    np.testing.assert_array_equal(new.scales, old.scales)
    assert new.axis == 0
    softmax = TfliteModel.from_bytes(cut_op(model, 1))
    assert softmax.ops[0].options.beta == 1.0
    assert model.content == CLASSIFIER


def test_an_input_used_twice_becomes_one_graph_input() -> None:
    specs = [TensorSpec(name, (1, 2), "float32") for name in ("x", "doubled")]
    content = tiny_models.build(specs, [OpSpec("ADD", ["x", "x"], ["doubled"])], ["x"], ["doubled"])
    cut = cut_op(TfliteModel.from_bytes(content), 0)
    assert len(TfliteModel.from_bytes(cut).inputs) == 1
    assert run(cut, np.array([[1, 2]], np.float32))[0].tolist() == [[2, 4]]


def test_graph_inputs_of_a_cut_op_follow_the_op_not_the_graph() -> None:
    specs = [TensorSpec(name, (1, 1), "float32") for name in ("a", "b", "y")]
    content = tiny_models.build(specs, [OpSpec("SUB", ["b", "a"], ["y"])], ["a", "b"], ["y"])
    cut = TfliteModel.from_bytes(cut_op(TfliteModel.from_bytes(content), 0))
    assert cut.input_names == ("b", "a")


def test_variables_of_a_cut_op_stay_variables() -> None:
    specs = [
        TensorSpec("x", (1, 2), "float32"),
        TensorSpec("state", (1, 2), "float32", is_variable=True),
        TensorSpec("y", (1, 2), "float32"),
    ]
    content = tiny_models.build(specs, [OpSpec("ADD", ["x", "state"], ["y"])], ["x"], ["y"])
    cut = TfliteModel.from_bytes(cut_op(TfliteModel.from_bytes(content), 0))
    assert cut.input_names == ("x",)
    assert [tensor.is_variable for tensor in cut.tensors] == [False, True, False]


def test_ops_that_run_other_subgraphs_are_not_cut() -> None:
    specs = [TensorSpec("x", (1,), "float32"), TensorSpec("y", (1,), "float32")]
    content = tiny_models.build(specs, [OpSpec("WHILE", ["x"], ["y"])], ["x"], ["y"])
    with pytest.raises(UnsupportedModelError, match="WHILE"):
        cut_op(TfliteModel.from_bytes(content), 0)


def test_a_cut_op_brings_its_block_scales() -> None:
    content = tiny_models.build(
        [
            TensorSpec("x", (1, 64), "float32"),
            TensorSpec("unused", (1,), "float32"),
            TensorSpec("w", (2, 64), "int4", data=bytes(64)),
            TensorSpec("w_scales", (2, 2), "float16", data=np.ones((2, 2), np.float16)),
            TensorSpec("y", (1, 2), "float32"),
        ],
        [OpSpec("FULLY_CONNECTED", ["x", "w", ""], ["y"])],
        ["x"],
        ["y"],
    )
    root, schema = tiny_models.unpack(content), tiny_models.schema
    root.subgraphs[0].tensors[2].quantization = schema.QuantizationParametersT(
        detailsType=schema.QuantizationDetails.BlockwiseQuantization,
        details=schema.BlockwiseQuantizationT(scales=3, zeroPoints=-1, blockSize=32),
    )
    model = TfliteModel.from_bytes(tiny_models.pack(root))
    cut = TfliteModel.from_bytes(cut_op(model, 0))
    quantization = cut.tensors[cut.ops[0].inputs[1]].quantization
    assert quantization.scales.tolist() == [1.0] * 4 and quantization.block_size == 32


def test_with_outputs_shows_an_intermediate_and_drops_the_rest(x: np.ndarray) -> None:
    model = TfliteModel.from_bytes(CLASSIFIER)
    content = with_outputs(model, [3])
    shown = TfliteModel.from_bytes(content)
    assert [op.name for op in shown.ops] == ["FULLY_CONNECTED"]
    assert (shown.inputs, shown.outputs, shown.signature_keys) == ((0,), (3,), ())
    np.testing.assert_array_equal(run(content, x)[0], run(cut_op(model, 0), x)[0])


def test_with_outputs_keeps_the_order_and_drops_unused_constants() -> None:
    specs = [
        TensorSpec("x", (1, 8), "float32"),
        TensorSpec("w", (500, 8), "float32", data=np.ones((500, 8), np.float32)),
        TensorSpec("h", (1, 8), "float32"),
        TensorSpec("y", (1, 500), "float32"),
    ]
    ops = [OpSpec("RELU", ["x"], ["h"]), OpSpec("FULLY_CONNECTED", ["h", "w", ""], ["y"])]
    model = TfliteModel.from_bytes(tiny_models.build(specs, ops, ["x"], ["y"]))
    both = TfliteModel.from_bytes(with_outputs(model, [3, 2]))
    assert both.outputs == (3, 2) and len(both.ops) == 2
    short = TfliteModel.from_bytes(with_outputs(model, [2]))
    assert (
        not short.tensors[1].is_constant and len(short.content) < len(model.content) - 500 * 8 * 4
    )


@pytest.mark.parametrize("indices", [[], [99], [-1]])
def test_with_outputs_refuses_unknown_tensors(indices: list[int]) -> None:
    with pytest.raises(UsageError, match="expected one or more of 0..4"):
        with_outputs(TfliteModel.from_bytes(CLASSIFIER), indices)


def test_with_ranges_records_minimum_and_maximum() -> None:
    content = tiny_models.float_add()
    tensors = (
        tiny_models.unpack(with_ranges(_read(content), {"a": (-1.5, 2.0)})).subgraphs[0].tensors
    )
    assert (list(tensors[0].quantization.min), list(tensors[0].quantization.max)) == ([-1.5], [2.0])
    assert tensors[1].quantization is None
    twice = with_ranges(_read(with_ranges(_read(content), {"a": (0.0, 1.0)})), {"a": (-1.5, 2.0)})
    assert list(tiny_models.unpack(twice).subgraphs[0].tensors[0].quantization.min) == [-1.5]


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"nobody": (0, 1)}, "'nobody'"),
        ({"a": (1, 0)}, "low <= high"),
        ({"a": (0, float("nan"))}, "finite"),
    ],
)
def test_with_ranges_refuses(ranges: dict[str, tuple[float, float]], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        with_ranges(_read(tiny_models.float_add()), ranges)


def test_inline_external_buffers(x: np.ndarray) -> None:
    external = tiny_models.with_external_buffers(CLASSIFIER)
    inlined = inline_external_buffers(external)
    model = TfliteModel.from_bytes(inlined)
    assert not any(tensor.is_external for tensor in model.tensors)
    np.testing.assert_array_equal(run(inlined, x)[0], run(CLASSIFIER, x)[0])
    assert model.signature_keys == ("serving_default",)


def test_inlining_leaves_a_whole_file_alone() -> None:
    assert inline_external_buffers(CLASSIFIER) is CLASSIFIER


def test_edits_of_external_constants_bring_them_in(x: np.ndarray) -> None:
    model = TfliteModel.from_bytes(tiny_models.with_external_buffers(CLASSIFIER))
    expected = run(cut_op(TfliteModel.from_bytes(CLASSIFIER), 0), x)[0]
    np.testing.assert_array_equal(run(cut_op(model, 0), x)[0], expected)
    np.testing.assert_array_equal(run(with_outputs(model, [3]), x)[0], expected)


def test_packed_constants_are_aligned_to_16_bytes() -> None:
    content = with_outputs(TfliteModel.from_bytes(CLASSIFIER), [4])
    start = np.frombuffer(content, np.uint8).ctypes.data
    root = tiny_models.schema.Model.GetRootAs(content, 0)
    stored = [root.Buffers(i).DataAsNumpy() for i in range(root.BuffersLength())]
    offsets = [data.ctypes.data - start for data in stored if isinstance(data, np.ndarray)]
    assert len(offsets) == 2 and all(offset % 16 == 0 for offset in offsets)


def test_packing_is_reproducible() -> None:
    model = TfliteModel.from_bytes(CLASSIFIER)
    assert cut_op(model, 0) == cut_op(TfliteModel.from_bytes(CLASSIFIER), 0)


@pytest.mark.parametrize("count", [6, 7])
def test_values_of_4_bits_are_replaced_two_to_a_byte(count: int) -> None:
    tensors = [
        TensorSpec("w", (1, count), "int4", data=bytes((count + 1) // 2)),
        TensorSpec("y", (1, count), "int8"),
    ]
    content = tiny_models.build(tensors, [OpSpec("RELU", ["w"], ["y"])], [], ["y"])
    model = TfliteModel.from_bytes(content)
    values = (np.arange(count, dtype=np.int8) * 3 % 16 - 8)[None].astype(np.int8)
    changed = TfliteModel.from_bytes(with_constants(model, {0: values}))
    np.testing.assert_array_equal(changed.constant(0), values)
    assert changed.tensors[0].size_bytes == (count + 1) // 2
    with pytest.raises(UsageError, match=r"-8\.\.7"):
        with_constants(model, {0: values + np.int8(8)})
