from __future__ import annotations

import pytest

from tfgreen.errors import InvalidModelError
from tfgreen.models.protobuf import Message


def message(*content: int) -> Message:
    return Message(memoryview(bytes(content)))


def test_every_wire_type_is_read() -> None:
    read = message(
        *(0x08, 0x96, 0x01),  # field 1, varint: 0x16 + (1 << 7) = 150
        *(0x12, 2, 0x68, 0x69),  # field 2, bytes: "hi"
        *(0x1D, 1, 0, 0, 0),  # field 3, 32 bits
        *(0x21, 2, 0, 0, 0, 0, 0, 0, 0),  # field 4, 64 bits
    )
    assert (read.number(1), read.text(2), read.number(3), read.number(4)) == (150, "hi", 1, 2)


def test_repeated_fields_keep_their_order_and_the_last_one_counts() -> None:
    read = message(0x0A, 1, 0x61, 0x0A, 1, 0x62)
    assert read.texts(1) == ["a", "b"]
    assert read.text(1) == "b"


def test_map_entries_are_found_by_key() -> None:
    entry = bytes([0x0A, 1, 0x6B, 0x12, 2, 0x08, 7])  # "k" -> {1: 7}
    read = Message(memoryview(bytes([0x2A, len(entry)]) + entry))
    assert {key: value.number(1) for key, value in read.entries(5).items()} == {"k": 7}


def test_absent_fields_are_empty() -> None:
    read = message()
    assert (read.number(1), read.text(1), read.texts(1), list(read.messages(1))) == (0, "", [], [])


@pytest.mark.parametrize(
    "content",
    [
        pytest.param((0x0A, 5, 0x61), id="bytes past the end"),
        pytest.param((0x08,), id="number past the end"),
        pytest.param((0x08, *[0xFF] * 11), id="number too long"),
        pytest.param((0x0B,), id="unknown wire type"),
        pytest.param((0x1D, 1, 0), id="32 bits past the end"),
    ],
)
def test_damage_is_told(content: tuple[int, ...]) -> None:
    with pytest.raises(InvalidModelError):
        message(*content)
