"""Few different values: a table of them, and for each weight a number of a few bits.

One table serves the whole tensor, or each channel has its own, which suits clustered weights that
were quantized per channel. Indices are packed from the highest bit on; they have 1 to 7 bits.
"""

from __future__ import annotations

import numpy as np

from tfgreen.encodings.packed import HEADER_BYTES, Packed, damaged, header

_MOST_BITS = 7
_WHOLE_TENSOR = 15
"""The axis in the header where one table serves all channels."""


def encode_lut(array: np.ndarray, axis: int | None) -> Packed | None:
    """A tensor with a table for each slice along `axis`, or with one table (None).

    None if there are too many different values. The kernel knows the first and the last axis.
    """
    if array.size == 0:
        return None
    rows = array.reshape(1, -1) if axis is None else np.moveaxis(array, axis, 0)
    rows = rows.reshape(len(rows), -1)
    found = [np.unique(row, return_inverse=True) for row in rows]
    stride = max(len(values) for values, _ in found)
    bits = max(1, (stride - 1).bit_length())
    if bits > _MOST_BITS:
        return None
    numbers = np.stack([inverse.reshape(rows.shape[1]) for _, inverse in found])
    if axis is not None:
        moved = np.moveaxis(array, axis, 0).shape
        numbers = np.moveaxis(numbers.reshape(moved), 0, axis)
    table = np.zeros((len(rows), stride), array.dtype)
    for row, (values, _) in zip(table, found, strict=True):
        row[: len(values)] = values
    settings = bytes([(_WHOLE_TENSOR if axis is None else axis) << 4 | bits, stride])
    return Packed("lut", _pack(numbers.ravel(), bits), header("lut", settings) + table.tobytes())


def decode_lut(
    encoded: np.ndarray, ancillary: np.ndarray, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """The inverse of `encode_lut`; both runs as uint8. Raises InvalidModelError if they lie."""
    axis, bits, stride = int(ancillary[5]) >> 4, int(ancillary[5]) & 7, int(ancillary[6])
    whole = axis == _WHOLE_TENSOR
    if not bits or not stride or not (whole or axis < len(shape)):
        raise damaged("its table has no size")
    count = int(np.prod(shape))
    channels = 1 if whole else shape[axis]
    stored = ancillary[HEADER_BYTES:].tobytes()
    if len(stored) < channels * stride * dtype.itemsize or 8 * len(encoded) < count * bits:
        raise damaged("its table or its indices are cut off")
    table = np.frombuffer(stored, dtype, channels * stride).reshape(channels, stride)
    numbers = _unpack(encoded, bits, count).reshape(shape)
    if numbers.max(initial=0) >= stride:
        raise damaged("an index lies outside of its table")
    along = [1] * len(shape)
    if not whole:
        along[axis] = channels
    channel = np.arange(channels).reshape(along)
    return np.asarray(table[channel, numbers])


def _pack(numbers: np.ndarray, bits: int) -> bytes:
    shifts = np.arange(bits - 1, -1, -1)
    return np.packbits((numbers[:, np.newaxis] >> shifts & 1).astype(np.uint8)).tobytes()


def _unpack(encoded: np.ndarray, bits: int, count: int) -> np.ndarray:
    unpacked = np.unpackbits(encoded, count=count * bits).reshape(count, bits)
    return (unpacked.astype(np.int64) << np.arange(bits - 1, -1, -1)).sum(-1)
