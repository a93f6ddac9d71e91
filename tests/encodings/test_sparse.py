"""The sparse format: the way there and back, against TensorFlow's own, and damaged ones."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tfgreen.encodings import DENSIFY, plain
from tfgreen.encodings.rewriting import with_sparse_constants
from tfgreen.encodings.sparse import (
    SparseArray,
    decode_sparse,
    encode_sparse,
    encode_sparse_as,
)
from tfgreen.errors import InvalidModelError
from tfgreen.flatbuffer import TfliteModel

SHAPES = arrays.array_shapes(min_dims=1, max_dims=5, max_side=9)
DTYPES = st.sampled_from(["int8", "int16", "float16", "float32"])


@st.composite
def tensors(draw: st.DrawFn) -> np.ndarray:
    """Any shape and sparsity, whole numbers."""
    shape, zeros = draw(SHAPES), draw(st.floats(0, 1))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    values = random.integers(-100, 101, shape) * (random.random(shape) >= zeros)
    return values.astype(draw(DTYPES))


@given(tensors())
@settings(max_examples=80, deadline=None)
def test_there_and_back(array: np.ndarray) -> None:
    encoded = encode_sparse(array)
    np.testing.assert_array_equal(
        decode_sparse(encoded.parameters(), encoded.values, array.shape), array
    )


@given(tensors(), st.data())
@settings(max_examples=80, deadline=None)
def test_every_layout_there_and_back(array: np.ndarray, data: st.DataObject) -> None:
    dimension = data.draw(st.integers(0, array.ndim - 1))
    sizes = [size for size in (1, 2, 3, 4) if array.shape[dimension] % size == 0]
    encoded = encode_sparse_as(array, dimension, data.draw(st.sampled_from(sizes)))
    np.testing.assert_array_equal(
        decode_sparse(encoded.parameters(), encoded.values, array.shape), array
    )


def test_by_hand() -> None:
    array = np.array([[0, 5, 0, 0], [0, 0, 0, 0], [7, 0, 0, 9]], np.int8)
    encoded = encode_sparse_as(array, 1)
    assert encoded.values.tolist() == [5, 7, 9]
    assert encoded.segments.tolist() == [0, 1, 1, 3]
    assert encoded.indices.tolist() == [1, 0, 3]
    blocks = encode_sparse_as(array, 1, 2)
    assert blocks.values.tolist() == [0, 5, 7, 0, 0, 9]
    assert (blocks.segments.tolist(), blocks.indices.tolist()) == ([0, 1, 1, 3], [0, 0, 1])


def test_blocks_are_chosen_where_zeros_come_in_blocks() -> None:
    random = np.random.default_rng(0)
    kept = np.repeat(random.random((32, 16)) < 0.2, 16, axis=1)
    assert encode_sparse(np.where(kept, 3, 0).astype(np.int8)).block_size == 16


def test_a_negative_zero_is_a_zero() -> None:
    assert encode_sparse(np.array([[-0.0, 0.0, 2.0, -0.0]], np.float32)).values.tolist() == [2.0]


def spoil(parameters: Any, **changes: Any) -> Any:
    """The parameters with other attributes; those of the last dimension begin with `last_`."""
    changed = copy.deepcopy(parameters)
    for name, value in changes.items():
        if name.startswith("last_"):
            target: Any = changed.dimMetadata[-1]
            for part in name.removeprefix("last_").split("__")[:-1]:
                target = getattr(target, part)
            setattr(target, name.split("__")[-1].removeprefix("last_"), value)
        else:
            setattr(changed, name, value)
    return changed


@pytest.mark.parametrize(
    "changes",
    [
        {"traversalOrder": [0, 0]},
        {"traversalOrder": None},
        {"dimMetadata": []},
        {"blockMap": [7]},
        {"last_arraySegments__values": [0, 1, 1, 9]},
        {"last_arraySegments__values": [0, 2, 1, 3]},
        {"last_arraySegments__values": [0, 3]},
        {"last_arrayIndices__values": [1, 0, 4]},
        {"last_arrayIndices__values": [-1, 0, 3]},
        {"last_arrayIndices": None},
    ],
    ids=str,
)
def test_damage_is_found(changes: dict[str, Any]) -> None:
    array = np.array([[0, 5, 0, 0], [0, 0, 0, 0], [7, 0, 0, 9]], np.int8)
    encoded = encode_sparse_as(array, 1)
    with pytest.raises(InvalidModelError, match="damaged"):
        decode_sparse(spoil(encoded.parameters(), **changes), encoded.values, array.shape)


def test_values_of_another_number_and_huge_shapes_are_refused() -> None:
    array = np.array([[0, 5], [6, 0]], np.int8)
    encoded = encode_sparse_as(array, 1)
    with pytest.raises(InvalidModelError, match="places 2 values and stores 1"):
        decode_sparse(encoded.parameters(), encoded.values[:1], array.shape)
    with pytest.raises(InvalidModelError, match="too large"):
        decode_sparse(encoded.parameters(), encoded.values, (1 << 20, 1 << 20))


@pytest.mark.filterwarnings("ignore")
def test_against_tensorflow(pruned_by_tensorflow: tuple[bytes, bytes]) -> None:
    """What the converter's EXPERIMENTAL_SPARSITY stores decodes to what it stores densely."""
    dense, sparse = map(TfliteModel.from_bytes, pruned_by_tensorflow)
    raw = sparse.root.subgraphs[0].tensors
    found = {tensor.name: tensor for tensor in sparse.tensors if tensor.is_sparse}
    assert len(found) >= 2
    weights = [t.index for t in dense.tensors if t.is_constant and len(t.shape) > 1]
    stored_densely = [dense.constant(index) for index in weights]
    for tensor in found.values():
        stored = sparse.stored_bytes(tensor.index).view(tensor.dtype)
        values = decode_sparse(raw[tensor.index].sparsity, stored, tensor.shape)
        assert any(np.array_equal(values, array) for array in stored_densely)
        ours = encode_sparse(values)
        assert ours.values.nbytes <= stored.nbytes
    stored_here = with_sparse_constants(dense, sparse_weights(dense))
    assert len(stored_here) <= len(sparse.content)
    unpacked = plain(sparse)
    assert not any(op.name == DENSIFY for op in unpacked.ops)


def sparse_weights(model: TfliteModel) -> dict[int, SparseArray]:
    """Every weight tensor of a file, encoded here."""
    weights = [t for t in model.tensors if t.is_constant and len(t.shape) > 1]
    return {tensor.index: encode_sparse(model.constant(tensor.index)) for tensor in weights}
