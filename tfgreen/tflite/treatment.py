"""One way to make a quantized file better, as the caller orders it and as the child reports it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from tfgreen.errors import UnknownNameError

Kind = Literal[
    "ranges", "mask", "equalize-weights", "equalize-activations",
    "statistics", "bias", "rounding", "widths",
]  # fmt: skip

OF_THE_FLOAT_FILE = frozenset({"ranges", "mask", "equalize-weights", "equalize-activations"})
"""These start from the float file, and quantize it again."""

FITS: tuple[Kind, ...] = ("statistics", "bias", "rounding")
"""These change weights and biases of the quantized file."""


@dataclass(frozen=True)
class Treatment:
    """What is to be done.

    kind: "ranges": quantize anew, ranges and scales chosen here. "mask": smaller mask constants.
        "equalize-weights", "equalize-activations": channels made alike, for weights with one
        scale and with one a channel. "statistics": scales and biases of channels fitted again.
        "bias": biases alone. "rounding": learned rounding. "widths": some layers wider.
    held_back: how many of the last runs are for judging and are not fitted to.
    then: for "widths", the fits that its files get.
    sqnr_db, agreement: for "widths", when to stop. most_bytes: the largest file.
    """

    kind: Kind
    held_back: int = 0
    then: tuple[Kind, ...] = ()
    sqnr_db: float = 10.0
    agreement: float = 0.95
    most_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise UnknownNameError("treatment", self.kind, get_args(Kind))

    def to_json(self) -> dict[str, Any]:
        """For the child's request."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Treatment:
        """From the child's request."""
        return cls(**{**fields, "then": tuple(fields["then"])})


@dataclass(frozen=True)
class Treated:
    """What came of it.

    content, float_content: the files; the ones that went in where nothing was changed.
    is_changed: whether there was anything to do. said: one sentence. facts: for the record.
    """

    content: bytes
    float_content: bytes
    is_changed: bool
    said: str
    facts: Mapping[str, Any]
