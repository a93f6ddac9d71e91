"""The known-bad table: well formed, and true: each entry is run."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from tests import tiny_models
from tests.tiny_models import OpSpec, TensorSpec, build
from tfgreen.flatbuffer import TfliteModel, op_names
from tfgreen.runtimes import KERNEL_SETS, Task, availability, run_tasks
from tfgreen.verification.known_bad import CONDITIONS, known_bad, known_bad_kernels, known_to_abort

EVERY_INT8 = np.arange(-128, 128, dtype=np.int8).reshape(1, 1, 256)


def test_the_table_is_well_formed() -> None:
    entries = known_bad_kernels()
    assert entries
    for entry in entries:
        assert set(entry.kernel_sets) <= set(KERNEL_SETS)
        assert set(entry.ops) <= set(op_names().values())
        assert entry.condition in CONDITIONS
        assert isinstance(entry.dated, date)
        assert entry.source.startswith("measured")


def one_op(
    op: str, scale: float, out_scale: float, dtype: str = "int8", zero_point: int = 0
) -> bytes:
    tensors = [
        TensorSpec("x", (1, 256), dtype, scale=scale, zero_point=zero_point),
        TensorSpec("y", (1, 256), dtype, scale=out_scale),
    ]
    return build(tensors, [OpSpec(op, ["x"], ["y"])], ["x"], ["y"])


def run(kernel_set: str, content: bytes, x: np.ndarray) -> np.ndarray:
    if not availability(kernel_set).available:
        pytest.skip(f"{kernel_set} is not installed")
    (outcome,) = run_tasks(kernel_set, [Task("op", content, (x,))])
    assert outcome.ok, outcome.message
    return outcome.outputs[0]


def names(kernel_set: str, content: bytes) -> bool:
    model = TfliteModel.from_bytes(content)
    return known_bad(kernel_set, model, model.ops[0]) is not None


def test_int8_sum_is_wrong_on_the_reference_only() -> None:
    content = tiny_models.int8_sum(4, 8)
    x = np.random.default_rng(0).integers(-128, 128, (8, 1, 4, 8), np.int8)
    expected = np.round(x.astype(np.int64).sum(axis=-1) / 8)  # the output's scale is 8 times x's
    wrong = np.abs(run("reference", content, x) - expected).max()
    right = np.abs(run("optimized", content, x) - expected).max()
    assert wrong > 10
    assert right <= 1
    assert names("reference", content)
    assert not names("optimized", content)


@pytest.mark.parametrize("kernel_set", ["reference", "optimized", "xnnpack"])
def test_int8_neg_ignores_zero_points(kernel_set: str) -> None:
    content = one_op("NEG", 0.1, 0.1, zero_point=10)
    assert np.array_equal(run(kernel_set, content, EVERY_INT8), -EVERY_INT8)
    assert names(kernel_set, content)


def test_micro_relu6_does_not_requantize() -> None:
    same, other = one_op("RELU6", 0.04, 0.04), one_op("RELU6", 0.08, 0.04)
    expected = np.clip(EVERY_INT8.astype(int) * 2, 0, 127)
    assert np.abs(run("micro", other, EVERY_INT8) - expected).max() > 50
    assert np.abs(run("reference", other, EVERY_INT8) - expected).max() <= 1
    assert names("micro", other)
    assert not names("micro", same)
    assert not names("reference", other)


def test_micro_dequantizes_channels_with_one_scale() -> None:
    tensors = [
        TensorSpec("x", (2, 4), scale=(0.1, 1.0), axis=0),
        TensorSpec("y", (2, 4), "float32"),
    ]
    content = build(tensors, [OpSpec("DEQUANTIZE", ["x"], ["y"], version=5)], ["x"], ["y"])
    x = np.full((1, 2, 4), 10, np.int8)
    assert run("reference", content, x)[0, :, 0].tolist() == pytest.approx([1.0, 10.0])
    assert run("micro", content, x)[0, :, 0].tolist() == pytest.approx([1.0, 1.0])
    assert names("micro", content)


def row_padded(by: int, zero_point: int) -> bytes:
    tensors = [
        TensorSpec("x", (1, 1, 1, 1), scale=0.1, zero_point=zero_point),
        TensorSpec("block", (2,), "int32", data=np.array([1, 1], np.int32)),
        TensorSpec("paddings", (2, 2), "int32", data=np.array([[by, by], [0, 0]], np.int32)),
        TensorSpec("y", (1, 1 + 2 * by, 1, 1), scale=0.1, zero_point=zero_point),
    ]
    ops = [OpSpec("SPACE_TO_BATCH_ND", ["x", "block", "paddings"], ["y"])]
    return build(tensors, ops, ["x"], ["y"])


def test_micro_pads_batches_with_something_else() -> None:
    x = np.full((1, 1, 1, 1, 1), 42, np.int8)
    padded = {zero: row_padded(1, zero) for zero in (-3, 5)}
    wrong = {zero: run("micro", content, x).ravel().tolist() for zero, content in padded.items()}
    assert any(values != [zero, 42, zero] for zero, values in wrong.items())
    for zero, content in padded.items():
        assert run("reference", content, x).ravel().tolist() == [zero, 42, zero]
        assert names("micro", content)
        assert not names("reference", content)
    assert run("micro", row_padded(0, 5), x).ravel().tolist() == [42]
    assert not names("micro", row_padded(0, 5))


@pytest.mark.parametrize("kernel_set", ["reference", "micro"])
def test_softmax_aborts_on_long_flat_rows(kernel_set: str) -> None:
    if not availability(kernel_set).available:
        pytest.skip(f"{kernel_set} is not installed")
    contents = {classes: tiny_models.int8_softmax(classes) for classes in (511, 512)}
    models = {classes: TfliteModel.from_bytes(content) for classes, content in contents.items()}
    for classes, status in ((511, "ok"), (512, "crashed")):
        task = Task("softmax", contents[classes], (np.zeros((1, 1, classes), np.int8),))
        assert run_tasks(kernel_set, [task])[0].status == status
        entry = known_to_abort(kernel_set, models[classes], models[classes].ops[0])
        assert (entry is not None) == (status == "crashed")
    assert not names(kernel_set, contents[512]), "a difference would be a fault of its own"


def from_tiny_logits(op: str, scale: float, beta: float = 1.0) -> bytes:
    out_scale, zero_point = {"LOG_SOFTMAX": (16 / 256, 127), "TANH": (1 / 128, 0)}.get(
        op, (1 / 256, -128)
    )
    tensors = [
        TensorSpec("x", (1, 4), scale=scale),
        TensorSpec("y", (1, 4), scale=out_scale, zero_point=zero_point),
    ]
    options = {"beta": beta} if op == "SOFTMAX" else {}
    return build(tensors, [OpSpec(op, ["x"], ["y"], options)], ["x"], ["y"])


FOUR = np.array([[[-128, 0, 5, 127]]], np.int8)


@pytest.mark.parametrize("kernel_set", ["reference", "micro"])
@pytest.mark.parametrize(("op", "beta"), [("SOFTMAX", 1.0), ("SOFTMAX", 4.0), ("LOG_SOFTMAX", 1.0)])
def test_softmax_aborts_on_logits_of_no_size(kernel_set: str, op: str, beta: float) -> None:
    if not availability(kernel_set).available:
        pytest.skip(f"{kernel_set} is not installed")
    for factor, status in ((1.001, "ok"), (1.0, "crashed")):
        content = from_tiny_logits(op, factor * 2.0**-26 / beta, beta)
        assert run_tasks(kernel_set, [Task("op", content, (FOUR,))])[0].status == status
        model = TfliteModel.from_bytes(content)
        entry = known_to_abort(kernel_set, model, model.ops[0])
        assert (entry is not None) == (status == "crashed")
        assert known_to_abort("optimized", model, model.ops[0]) is None


@pytest.mark.parametrize("op", ["LOGISTIC", "TANH"])
def test_micro_curves_of_inputs_of_no_size_are_steps(op: str) -> None:
    middle = [0] * 4  # 1/2 in steps of 1/256 from -128, and 0
    right, wrong = (from_tiny_logits(op, factor * 2.0**-28) for factor in (1.0, 0.99))
    assert run("micro", right, FOUR).ravel().tolist() == middle
    assert run("micro", wrong, FOUR).ravel().tolist() == [-128, -128, 127, 127]
    assert run("reference", wrong, FOUR).ravel().tolist() == middle
    assert names("micro", wrong)
    assert not names("micro", right)
    assert not names("reference", wrong)


@pytest.mark.parametrize("op", ["LOGISTIC", "TANH"])
def test_int16_curves_are_coarse_without_the_reference(op: str) -> None:
    content = one_op(op, 8 / 32768, 1 / 32768, "int16")
    x = np.linspace(-32768, 32767, 256).astype(np.int16).reshape(1, 1, 256)
    real = x * (8 / 32768)
    curve = 1 / (1 + np.exp(-real)) if op == "LOGISTIC" else np.tanh(real)
    expected = np.clip(np.round(curve * 32768), -32768, 32767)
    assert np.abs(run("reference", content, x) - expected).max() <= 1
    assert np.abs(run("optimized", content, x) - expected).max() > 2
    assert names("optimized", content)
    assert not names("reference", content)


def blockwise_dense(units: int = 4, inputs: int = 64, block: int = 32) -> bytes:
    """FULLY_CONNECTED with 4-bit weights of value 1 and a scale per block: 1, 2, 1, 2, ..."""
    scales = np.tile(np.array([1, 2], np.float16), units)
    tensors = [
        TensorSpec("x", (1, inputs), "float32"),
        TensorSpec("w", (units, inputs), "int4", data=np.full(units * inputs // 2, 0x11, np.uint8)),
        TensorSpec("w_scales", (units, inputs // block), "float16", data=scales),
        TensorSpec("y", (1, units), "float32"),
    ]
    ops = [OpSpec("FULLY_CONNECTED", ["x", "w", ""], ["y"])]
    root = tiny_models.unpack(build(tensors, ops, ["x"], ["y"]))
    root.subgraphs[0].tensors[1].quantization = schema.QuantizationParametersT(
        detailsType=schema.QuantizationDetails.BlockwiseQuantization,
        details=schema.BlockwiseQuantizationT(scales=2, zeroPoints=-1, blockSize=block),
    )
    return tiny_models.pack(root)


def test_the_reference_misreads_blockwise_weights() -> None:
    content = blockwise_dense()
    x = np.ones((1, 1, 64), np.float32)
    expected = [32 * 1 + 32 * 2] * 4
    right = run("xnnpack", content, x).ravel()
    wrong = run("reference", content, x).ravel()
    assert right.tolist() == pytest.approx(expected, rel=0.02)
    assert np.abs(wrong - expected).max() > 10
    assert names("reference", content)
    assert not names("xnnpack", content)
    assert not names("reference", tiny_models.float_classifier())
