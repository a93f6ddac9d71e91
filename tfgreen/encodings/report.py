"""What became of each way to store a file, and what the chosen one costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DENSE = "dense"
"""The file as it came."""

_HOW = {"sparse": "sparsely", "lut": "as tables", "decode": "as tables, bit maps or short codes"}
_DECODE_PRICE = (
    "DECODE unpacks them into the arena at every inference, and the firmware needs it: AddDecode() "
    "in the op resolver, of a TensorFlow Lite Micro of 2026."
)
_PRICES = {
    "sparse": "DENSIFY unpacks them once, when the file is loaded: loading takes longer, and the "
    "memory in use is that of dense weights and the sparse ones.",
    "lut": _DECODE_PRICE,
    "decode": _DECODE_PRICE,
}


@dataclass(frozen=True)
class EncodedFile:
    """One way to store the file, and what became of it.

    Attributes:
        encoding: "dense", "sparse" (DENSIFY), "lut" or "decode" (both DECODE).
        size_bytes, gzip_bytes: Of the file; gzip at level 9. None if there is no such file,
            or nobody asks.
        arena_bytes: On the micro kernels; None elsewhere.
        methods: How many constants are packed in which way.
        bit_exact: Kernel set to whether it answers as the dense file does; None where it has no
            op to unpack the file.
        chosen: Whether this one is shipped.
        reason: Why, or why not.
    """

    encoding: str
    size_bytes: int | None = None
    gzip_bytes: int | None = None
    arena_bytes: int | None = None
    methods: Mapping[str, int] | None = None
    bit_exact: Mapping[str, bool | None] | None = None
    chosen: bool = False
    reason: str = ""

    def to_facts(self) -> dict[str, Any]:
        """Ready for JSON."""
        facts = dict(vars(self))
        return facts | {key: dict(facts[key] or {}) for key in ("methods", "bit_exact")}


@dataclass(frozen=True)
class Choice:
    """The file to ship, and every way to store it that was considered, the dense one first.

    `is_told`: whether people care: the weights are pruned or clustered, or an encoding was asked
    for.
    """

    content: bytes
    files: tuple[EncodedFile, ...]
    is_told: bool = True

    @property
    def chosen(self) -> EncodedFile:
        """The one that is shipped."""
        return next(file for file in self.files if file.chosen)

    def notes(self) -> list[str]:
        """What a packed file costs, in sentences, or why there is none."""
        chosen, dense = self.chosen, self.files[0]
        if not self.is_told:
            return []
        if chosen.encoding == DENSE:
            return [f"The weights are stored densely: {chosen.reason}."]
        told = [
            f"The weights are stored {_HOW[chosen.encoding]}: {chosen.size_bytes:,} bytes in place "
            f"of {dense.size_bytes:,}, with the same answers bit for bit.",
            "No kernel becomes faster by it.",
            _PRICES[chosen.encoding],
        ]
        if chosen.arena_bytes is not None and dense.arena_bytes is not None:
            told[-1] += (
                f" The arena takes {chosen.arena_bytes:,} bytes, {dense.arena_bytes:,} dense."
            )
        return told

    def to_facts(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "chosen": self.chosen.encoding,
            "is_told": self.is_told,
            "files": [file.to_facts() for file in self.files],
        }
