"""Values of unequal frequency: short codes for frequent ones (Huffman), read through tables.

The decoder looks some bits up in a table. An entry is a value, with the number of those bits that
belong to it, or the way to a further table with the number of bits to look up there. An entry has
16 bits: 1 for "value found", 4 for the number of bits, 11 for the value or the distance.
Which tables take the least room is found from the leaves of the code up.
"""

from __future__ import annotations

import functools
import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tfgreen.encodings.packed import HEADER_BYTES, Packed, damaged, header

_FOUND, _COUNT_SHIFT, _COUNT_MASK = 0x8000, 11, 0xF
_DISTANCE_MASK, _VALUE_MASK = 0x07FF, 0xFF
_WORD_BITS = 32
_WIDEST_TABLE_BITS = 8


@dataclass(frozen=True, eq=False)
class _Node:
    """A value, or two branches of the code: first those that go on with 0, then with 1."""

    value: int = 0
    branches: tuple[_Node, _Node] | None = None


def encode_huffman(array: np.ndarray) -> Packed | None:
    """An int8 tensor; None for another dtype, or for one whose values are all the same."""
    if array.dtype != np.int8:
        return None
    values, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    if len(values) < 2:
        return None
    code = _code(values.tolist(), counts.tolist())
    tables = _Tables(code)
    words = _codewords(code)
    texts = np.array([words[int(value)] for value in values], object)
    bits = "".join(texts[inverse.ravel()].tolist()) + "0" * _WIDEST_TABLE_BITS
    bits += "0" * (-len(bits) % _WORD_BITS)
    encoded = np.packbits(np.frombuffer(bits.encode(), np.uint8) - ord("0")).tobytes()
    settings = bytes([(tables.first_bits - 1) << 4])
    entries = np.array(tables.entries, "<u2").tobytes()
    return Packed("huffman", encoded, header("huffman", settings) + entries)


def decode_huffman(
    encoded: np.ndarray, ancillary: np.ndarray, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """The inverse of `encode_huffman`; both runs as uint8. Raises InvalidModelError if they lie."""
    if dtype != np.int8 or ancillary[5] & 1 or len(ancillary) % 2:
        raise damaged("its tables are of a kind that is not known")
    first_bits = (int(ancillary[5]) >> 4) + 1
    entries = np.frombuffer(ancillary[HEADER_BYTES:].tobytes(), "<u2").tolist()
    count = math.prod(shape)
    if count > 8 * len(encoded):
        raise damaged("its codes are cut off")
    bits = np.unpackbits(encoded)
    read = functools.cache(lambda width: _windows(bits, width))
    values, position = bytearray(count), 0
    try:
        for index in range(count):
            width = first_bits
            at = read(width)[position]
            while not (entry := entries[at]) & _FOUND:
                position += width
                width = (entry >> _COUNT_SHIFT & _COUNT_MASK) + 1
                at += (entry & _DISTANCE_MASK) + read(width)[position]
            position += entry >> _COUNT_SHIFT & _COUNT_MASK
            values[index] = entry & _VALUE_MASK
    except IndexError as error:
        raise damaged("its codes lead out of its tables") from error
    return np.frombuffer(bytes(values), np.int8).reshape(shape)


def _windows(bits: np.ndarray, width: int) -> list[int]:
    """The number that `width` bits from each position on make."""
    padded = np.concatenate([bits, np.zeros(width, np.uint8)]).astype(np.int64)
    shifted = (padded[i : len(bits) + i] << (width - 1 - i) for i in range(width))
    return np.sum(list(shifted), axis=0).tolist()


def _code(values: list[int], counts: list[int]) -> _Node:
    """The Huffman code: the two rarest nodes are joined until one is left."""
    heap = [
        (count, order, _Node(value))
        for order, (value, count) in enumerate(zip(values, counts, strict=True))
    ]
    heapq.heapify(heap)
    order = len(heap)
    while len(heap) > 1:
        (first_count, _, first), (second_count, _, second) = (
            heapq.heappop(heap),
            heapq.heappop(heap),
        )
        heapq.heappush(heap, (first_count + second_count, order, _Node(0, (first, second))))
        order += 1
    return heap[0][2]


def _codewords(node: _Node, prefix: str = "") -> dict[int, str]:
    if node.branches is None:
        return {node.value: prefix}
    zero, one = node.branches
    return _codewords(zero, f"{prefix}0") | _codewords(one, f"{prefix}1")


class _Tables:
    """The tables of a code, in as few entries as a width of up to 8 bits for each allows."""

    def __init__(self, code: _Node) -> None:
        self._plans: dict[int, tuple[int, int]] = {}
        self.first_bits = self._plan(code)[1]
        self.entries: list[int] = []
        self._write(code)

    def _plan(self, node: _Node) -> tuple[int, int]:
        """Entries of the tables from a node on, and the bits of its own."""
        if id(node) not in self._plans:
            plans = []
            for bits in range(1, min(_WIDEST_TABLE_BITS, _depth(node)) + 1):
                further = (
                    self._plan(below)[0] for below, _, _ in _reached(node, bits) if below.branches
                )
                plans.append(((1 << bits) + sum(further), bits))
            self._plans[id(node)] = min(plans, key=lambda plan: (plan[0], -plan[1]))
        return self._plans[id(node)]

    def _write(self, node: _Node) -> None:
        start, bits = len(self.entries), self._plan(node)[1]
        self.entries += [0] * (1 << bits)
        for below, depth, first in _reached(node, bits):
            if below.branches is None:
                entry = _FOUND | depth << _COUNT_SHIFT | below.value & _VALUE_MASK
                places = range(start + first, start + first + (1 << (bits - depth)))
                self.entries[places.start : places.stop] = [entry] * len(places)
            else:
                place = start + first
                width = self._plan(below)[1]
                self.entries[place] = width - 1 << _COUNT_SHIFT | len(self.entries) - place
                self._write(below)


def _depth(node: _Node) -> int:
    return 0 if node.branches is None else 1 + max(map(_depth, node.branches))


def _reached(node: _Node, bits: int) -> Iterator[tuple[_Node, int, int]]:
    """Values within `bits` of a node and nodes exactly so far: with depth and first table entry."""

    def go(at: _Node, depth: int, first: int) -> Iterator[tuple[_Node, int, int]]:
        if at.branches is None or depth == bits:
            yield at, depth, first
            return
        yield from go(at.branches[0], depth + 1, first)
        yield from go(at.branches[1], depth + 1, first + (1 << (bits - depth - 1)))

    return go(node, 0, 0)
