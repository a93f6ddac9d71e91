"""Protocol buffers read field by field, for messages whose classes live in TensorFlow.

Only the wire format is needed: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tfgreen.errors import InvalidModelError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZE_BYTES = {_FIXED64: 8, _FIXED32: 4}
_FIXED_FORMAT = {_FIXED64: "<Q", _FIXED32: "<I"}


class Message:
    """One message: its fields by number, each a list in the order of the file.

    >>> message = Message(memoryview(bytes([0x0A, 2, 0x68, 0x69, 0x10, 0x96, 0x01])))
    >>> message.text(1), message.number(2), message.text(3)
    ('hi', 150, '')
    """

    def __init__(self, content: memoryview) -> None:
        self._fields: dict[int, list[int | memoryview]] = {}
        for number, value in _fields(content):
            self._fields.setdefault(number, []).append(value)

    def messages(self, number: int) -> Iterator[Message]:
        """The messages of a repeated field."""
        for value in self._bytes(number):
            yield Message(value)

    def message(self, number: int) -> Message:
        """The last message of a field; an empty one if it is absent."""
        values = self._bytes(number)
        return Message(values[-1]) if values else Message(memoryview(b""))

    def texts(self, number: int) -> list[str]:
        """The strings of a repeated field."""
        return [bytes(value).decode("utf-8", "replace") for value in self._bytes(number)]

    def text(self, number: int) -> str:
        """The last string of a field; empty if it is absent."""
        texts = self.texts(number)
        return texts[-1] if texts else ""

    def number(self, number: int) -> int:
        """The last unsigned number of a field; 0 if it is absent."""
        values = [value for value in self._fields.get(number, ()) if isinstance(value, int)]
        return values[-1] if values else 0

    def entries(self, number: int) -> dict[str, Message]:
        """A map field from strings to messages."""
        return {entry.text(1): entry.message(2) for entry in self.messages(number)}

    def _bytes(self, number: int) -> list[memoryview]:
        return [v for v in self._fields.get(number, ()) if isinstance(v, memoryview)]


def _fields(content: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    position = 0
    while position < len(content):
        key, position = varint(content, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            value, position = varint(content, position)
            yield number, value
            continue
        if wire_type == _BYTES:
            size_bytes, position = varint(content, position)
        elif wire_type in _FIXED_SIZE_BYTES:
            size_bytes = _FIXED_SIZE_BYTES[wire_type]
        else:
            raise InvalidModelError(f"wire type {wire_type} does not exist")
        end = position + size_bytes
        if end > len(content):
            raise InvalidModelError(f"a field of {size_bytes} bytes ends after the file")
        piece = content[position:end]
        if wire_type == _BYTES:
            yield number, piece
        else:
            yield number, struct.unpack(_FIXED_FORMAT[wire_type], piece)[0]
        position = end


def varint(content: memoryview, position: int) -> tuple[int, int]:
    """The number of seven bits a byte at a position, and the position after it.

    >>> varint(memoryview(bytes([0x96, 0x01])), 0)
    (150, 2)
    """
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(content):
            raise InvalidModelError("a number ends after the file")
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise InvalidModelError("a number is longer than 64 bits")
