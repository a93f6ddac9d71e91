"""What TensorFlow Lite Micro's DECODE op unpacks: two runs of bytes, whatever the method.

The second run begins with 16 bytes that name the method (DECODE Common Metadata); tables follow.
Source: `tensorflow/lite/micro/kernels/decode_state.h` and the design described in
`tflite_micro/compression/decode.py` of the tflite-micro wheel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tfgreen.errors import InvalidModelError

Method = Literal["lut", "huffman", "bitmap"]

HEADER_BYTES = 16
_CODES: dict[Method, int] = {"lut": 0, "huffman": 1, "bitmap": 2}
_VERSION = 1


@dataclass(frozen=True, eq=False)
class Packed:
    """One tensor as DECODE takes it.

    Attributes:
        method: How the bytes are to be read.
        encoded: The values, packed.
        ancillary: The header and the tables.
    """

    method: Method
    encoded: bytes
    ancillary: bytes

    @property
    def size_bytes(self) -> int:
        """Of both runs."""
        return len(self.encoded) + len(self.ancillary)


def header(method: Method, settings: bytes = b"") -> bytes:
    """The 16 bytes before the tables; `settings` are the method's own, after its version."""
    head = bytes([_CODES[method], _VERSION, 0, 0, _VERSION]) + settings
    return head.ljust(HEADER_BYTES, b"\0")


def method_of(ancillary: np.ndarray) -> Method:
    """The method that a header names.

    Raises:
        InvalidModelError: no header, or a method or version that is not known here.
    """
    if len(ancillary) >= HEADER_BYTES and ancillary[1] == ancillary[4] == _VERSION:
        for method, code in _CODES.items():
            if code == ancillary[0]:
                return method
    raise damaged("its header names no method that is known")


def damaged(reason: str) -> InvalidModelError:
    """The error for packed bytes that contradict themselves."""
    return InvalidModelError(f"The .tflite file is damaged: a packed tensor: {reason}.")
