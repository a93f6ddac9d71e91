"""Many zeros: a bit for each weight that says whether it is one, and the others in a row.

TensorFlow Lite Micro calls it pruning. What counts as zero is the tensor's zero point.
"""

from __future__ import annotations

import numpy as np

from tfgreen.encodings.packed import HEADER_BYTES, Packed, damaged, header


def encode_bitmap(array: np.ndarray) -> Packed:
    """A tensor whose zero point is 0 in every channel, of any sparsity."""
    marked = array != 0
    encoded = np.packbits(marked.ravel()).tobytes()
    return Packed("bitmap", encoded, header("bitmap") + array[marked].tobytes())


def decode_bitmap(
    encoded: np.ndarray, ancillary: np.ndarray, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """The inverse of `encode_bitmap`; both runs as uint8. Raises InvalidModelError if they lie."""
    count = int(np.prod(shape))
    stored = ancillary[HEADER_BYTES:].tobytes()
    if 8 * len(encoded) < count or len(stored) % dtype.itemsize:
        raise damaged("its bits or its values are cut off")
    marked = np.unpackbits(encoded, count=count).astype(bool)
    values = np.frombuffer(stored, dtype)
    if len(values) != marked.sum():
        raise damaged(f"it places {marked.sum()} values and stores {len(values)}")
    dense = np.zeros(count, dtype)
    dense[marked] = values
    return dense.reshape(shape)
