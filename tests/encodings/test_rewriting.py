"""Packed files: they load, answer bit for bit the same, and unpack to the file they were."""

from __future__ import annotations

import numpy as np
import pytest

from tests.encodings.networks import Kind, inputs, layer
from tests.tiny_models import OpSpec, TensorSpec, build, pack, unpack
from tfgreen.encodings import DECODE, DENSIFY, is_packed, plain
from tfgreen.encodings.bitmap import encode_bitmap
from tfgreen.encodings.huffman import encode_huffman
from tfgreen.encodings.lut import encode_lut
from tfgreen.encodings.packed import Packed
from tfgreen.encodings.rewriting import with_packed_constants, with_sparse_constants
from tfgreen.encodings.sparse import encode_sparse, encode_sparse_as
from tfgreen.errors import InvalidModelError
from tfgreen.flatbuffer import TfliteModel, with_outputs
from tfgreen.runtimes import Task, availability, run_tasks

needs_micro = pytest.mark.skipif(not availability("micro").available, reason="no tflite-micro")
LITERT = ("reference", "optimized", "xnnpack")


def sparse(content: bytes) -> bytes:
    model = TfliteModel.from_bytes(content)
    index = model.tensor_index("weights")
    return with_sparse_constants(model, {index: encode_sparse(model.constant(index))})


def packed_in_every_way(content: bytes) -> dict[str, bytes]:
    model = TfliteModel.from_bytes(content)
    index = model.tensor_index("weights")
    values, axis = model.constant(index), model.tensors[index].quantization.axis
    found = {
        "lut": encode_lut(values, axis),
        "bitmap": encode_bitmap(values),
        "huffman": encode_huffman(values),
    }
    return {
        name: with_packed_constants(model, {index: packed})
        for name, packed in found.items()
        if packed is not None
    }


@pytest.mark.parametrize("dtype", ["int8", "float16", "float32"])
@pytest.mark.parametrize("kind", ["conv", "depthwise", "dense"])
def test_sparse_files_answer_the_same(kind: Kind, dtype: str) -> None:
    """On every kernel set; XNNPACK refuses int8 of FULLY_CONNECTED, which is never offered."""
    content = layer(kind, dtype)
    model = TfliteModel.from_bytes(content)
    index = model.tensor_index("weights")
    values = model.constant(index)
    files = [content] + [
        with_sparse_constants(model, {index: encode_sparse_as(values, dimension, block)})
        for dimension, block in ((0, 1), (values.ndim - 1, 1), (values.ndim - 1, 4))
    ]
    given = inputs(kind, dtype)
    for kernel_set in LITERT:
        if (kind, dtype, kernel_set) == ("dense", "int8", "xnnpack"):
            continue
        tasks = [Task("a file", file, given) for file in files]
        first, *others = run_tasks(kernel_set, tasks)
        assert first.ok
        for outcome in others:
            assert outcome.ok, outcome.message
            assert outcome.outputs[0].tobytes() == first.outputs[0].tobytes()


def test_densify_gives_the_dense_weights() -> None:
    """The reference kernel's own DENSIFY writes what was encoded."""
    content = layer("conv", "float32")
    model = TfliteModel.from_bytes(content)
    index = model.tensor_index("weights")
    shown = with_outputs(TfliteModel.from_bytes(sparse(content)), [index])
    outcome = run_tasks("reference", [Task("the weights", shown, inputs("conv", "float32", 1))])[0]
    assert outcome.ok, outcome.message
    np.testing.assert_array_equal(outcome.outputs[0][0], model.constant(index))


@needs_micro
@pytest.mark.parametrize("kind", ["conv", "depthwise", "dense"])
def test_packed_files_answer_the_same(kind: Kind) -> None:
    content = layer(kind, zeros=0.5, values=9)
    files = packed_in_every_way(content)
    assert set(files) == {"lut", "bitmap", "huffman"}
    tasks = [Task(name, file, inputs(kind)) for name, file in {"dense": content, **files}.items()]
    first, *others = run_tasks("micro", tasks)
    assert first.ok
    for outcome in others:
        assert outcome.ok, outcome.message
        assert outcome.outputs[0].tobytes() == first.outputs[0].tobytes()


@pytest.mark.parametrize("kind", ["conv", "depthwise", "dense"])
def test_plain_is_the_way_back(kind: Kind) -> None:
    content = layer(kind, zeros=0.5, values=9)
    model = TfliteModel.from_bytes(content)
    for name, file in {"sparse": sparse(content), **packed_in_every_way(content)}.items():
        packed = TfliteModel.from_bytes(file)
        assert is_packed(packed)
        assert packed.ops[0].name == (DENSIFY if name == "sparse" else DECODE)
        again = plain(packed)
        assert not is_packed(again)
        assert [op.name for op in again.ops] == [op.name for op in model.ops]
        assert len(again.tensors) == len(model.tensors)
        for tensor in model.tensors:
            ours, theirs = again.stored_bytes(tensor.index), model.stored_bytes(tensor.index)
            np.testing.assert_array_equal(ours, theirs)
    assert plain(model) is model


def shared_weights() -> bytes:
    """Two dense layers that read the same weights."""
    kernel = (np.arange(32 * 32).reshape(32, 32) % 5).astype(np.int8)
    tensors = [
        TensorSpec("x", (1, 32), scale=0.1),
        TensorSpec("weights", (32, 32), scale=0.1, data=kernel),
        TensorSpec("middle", (1, 32), scale=0.5),
        TensorSpec("y", (1, 32), scale=2.0),
    ]
    ops = [
        OpSpec("FULLY_CONNECTED", ["x", "weights", ""], ["middle"], {}, 4),
        OpSpec("FULLY_CONNECTED", ["middle", "weights", ""], ["y"], {}, 4),
    ]
    return build(tensors, ops, ["x"], ["y"])


@needs_micro
def test_weights_that_two_ops_read_are_unpacked_for_each() -> None:
    content = shared_weights()
    file = packed_in_every_way(content)["huffman"]
    assert [op.name for op in TfliteModel.from_bytes(file).ops] == [
        DECODE, "FULLY_CONNECTED", DECODE, "FULLY_CONNECTED",
    ]  # fmt: skip
    x = np.random.default_rng(0).integers(-128, 128, (4, 1, 32)).astype(np.int8)
    dense, packed = run_tasks("micro", [Task("a", content, (x,)), Task("b", file, (x,))])
    assert packed.ok, packed.message
    assert dense.outputs[0].tobytes() == packed.outputs[0].tobytes()
    assert len(plain(TfliteModel.from_bytes(file)).ops) == 2


def test_packed_constants_have_no_names() -> None:
    packed = TfliteModel.from_bytes(sparse(layer()))
    assert {tensor.name for tensor in packed.tensors if tensor.is_constant} == {""}
    assert {"x", "y"} <= {tensor.name for tensor in packed.tensors}


def test_damaged_packed_files_are_refused() -> None:
    root = unpack(sparse(layer()))
    (tensor,) = [t for t in root.subgraphs[0].tensors if t.sparsity is not None]
    root.buffers[tensor.buffer].data = root.buffers[tensor.buffer].data[:-4]
    with pytest.raises(InvalidModelError, match="damaged"):
        plain(TfliteModel.from_bytes(pack(root)))
    model = TfliteModel.from_bytes(layer())
    nonsense = Packed("lut", b"\0" * 4, b"\x09" * 32)
    file = with_packed_constants(model, {model.tensor_index("weights"): nonsense})
    with pytest.raises(InvalidModelError, match="damaged"):
        plain(TfliteModel.from_bytes(file))
