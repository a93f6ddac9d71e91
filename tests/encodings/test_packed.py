"""Tables, bit maps and short codes: the way there and back, by hand, and against upstream."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.encodings.networks import weights
from tests.encodings.test_sparse import tensors
from tfgreen.encodings.bitmap import decode_bitmap, encode_bitmap
from tfgreen.encodings.huffman import decode_huffman, encode_huffman
from tfgreen.encodings.lut import decode_lut, encode_lut
from tfgreen.encodings.packed import Packed, method_of
from tfgreen.errors import InvalidModelError

DECODERS = {"lut": decode_lut, "bitmap": decode_bitmap, "huffman": decode_huffman}


def runs(packed: Packed) -> tuple[np.ndarray, np.ndarray]:
    return np.frombuffer(packed.encoded, np.uint8), np.frombuffer(packed.ancillary, np.uint8)


def unpacked(packed: Packed, like: np.ndarray) -> np.ndarray:
    encoded, ancillary = runs(packed)
    assert method_of(ancillary) == packed.method
    return DECODERS[packed.method](encoded, ancillary, like.shape, like.dtype)


@given(tensors(), st.data())
@settings(max_examples=120, deadline=None)
def test_there_and_back(array: np.ndarray, data: st.DataObject) -> None:
    axis = data.draw(st.sampled_from([None, 0, array.ndim - 1]))
    found = [encode_lut(array, axis), encode_bitmap(array), encode_huffman(array)]
    for packed in filter(None, found):
        np.testing.assert_array_equal(unpacked(packed, array), array)


def test_a_table_by_hand() -> None:
    packed = encode_lut(np.array([[7, 9, 7], [1, 1, 2]], np.int8), 0)
    assert packed is not None
    assert packed.encoded == bytes([0b01000100])  # 0 1 0, 0 0 1: one bit each
    assert list(packed.ancillary[:7]) == [0, 1, 0, 0, 1, 0 << 4 | 1, 2]
    assert list(packed.ancillary[16:]) == [7, 9, 1, 2]


def test_a_bit_map_by_hand() -> None:
    packed = encode_bitmap(np.array([0, 3, 0, 0, -4, 0, 0, 0, 5], np.int8))
    assert packed.encoded == bytes([0b01001000, 0b10000000])
    assert packed.ancillary[16:] == np.array([3, -4, 5], np.int8).tobytes()


def test_short_codes_by_hand() -> None:
    """0 has half of the values and one bit, 5 and -6 two bits: one table of two bits."""
    packed = encode_huffman(np.array([0, 0, 5, -6], np.int8))
    assert packed is not None
    table = np.frombuffer(packed.ancillary[16:], "<u2")
    assert packed.ancillary[5] == (2 - 1) << 4
    assert len(table) == 4
    short = [entry for entry in table.tolist() if entry == 0x8000 | 1 << 11]
    assert len(short) == 2  # 0 takes both entries that begin with its bit
    assert {entry & 0xFF for entry in table.tolist()} == {0, 5, 256 - 6}


def test_huffman_is_as_short_as_entropy_allows() -> None:
    array = weights((64, 64), zeros=0.8, values=8).astype(np.int8)
    packed = encode_huffman(array)
    assert packed is not None
    _, counts = np.unique(array, return_counts=True)
    shares = counts / array.size
    entropy_bytes = -(shares * np.log2(shares)).sum() * array.size / 8
    assert entropy_bytes <= len(packed.encoded) <= entropy_bytes + array.size / 8 + 4


def test_what_has_no_packed_form() -> None:
    assert encode_lut(np.arange(200, dtype=np.int16), None) is None
    assert encode_huffman(np.zeros(9, np.int8)) is None
    assert encode_huffman(np.zeros(9, np.float32)) is None


@pytest.mark.parametrize("method", ["lut", "bitmap", "huffman"])
def test_damage_is_found(method: str) -> None:
    array = weights((8, 40), zeros=0.6, values=5).astype(np.int8)
    encoders = {
        "lut": lambda a: encode_lut(a, 0),
        "bitmap": encode_bitmap,
        "huffman": encode_huffman,
    }
    packed = encoders[method](array)
    assert packed is not None
    encoded, ancillary = runs(packed)
    decode = DECODERS[method]
    with pytest.raises(InvalidModelError, match="damaged"):
        decode(encoded[: len(encoded) // 8], ancillary, array.shape, array.dtype)
    with pytest.raises(InvalidModelError, match="damaged"):
        decode(encoded, ancillary[:18], array.shape, array.dtype)
    with pytest.raises(InvalidModelError, match="names no method"):
        method_of(np.array([9, 1, 0, 0, 1, *[0] * 11], np.uint8))


@pytest.mark.parametrize("axis", [None, 0])
def test_tables_equal_upstream(axis: int | None) -> None:
    """tflite-micro's own compressor gives the same two runs of bytes."""
    lut = pytest.importorskip("tflite_micro.tensorflow.lite.micro.compression.lut")
    array = weights((16, 3, 3, 8), values=12).astype(np.int8)
    packed = encode_lut(array, axis)
    assert packed is not None
    theirs = lut.compress_array(array, axis)
    assert packed.encoded == lut.pack_indices(theirs.indices, theirs.index_bitwidth)
    length = max(map(len, theirs.lookup_tables))
    assert packed.ancillary[16:] == lut.pack_lookup_tables(theirs.lookup_tables, length)
    settings_of = lut.LutAncillaryData(
        bitwidth=theirs.index_bitwidth, axis=15 if axis is None else axis, value_table_stride=length
    )
    assert packed.ancillary[4:16] == settings_of.to_user_data()
