"""Numbers and names as people read them, the same in every text."""

from __future__ import annotations

from collections.abc import Mapping

from tfgreen.wording import ABSENT

_KIBIBYTE, _MEBIBYTE = 1024, 1024**2


def printable(text: object) -> str:
    """Text from a file, with everything that could steer a terminal replaced.

    >>> printable("dense/\\x1b[31mred")
    'dense/?[31mred'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))


def bytes_text(size_bytes: int | None) -> str:
    """A size with its unit.

    >>> bytes_text(512), bytes_text(55_984), bytes_text(3_500_000), bytes_text(None)
    ('512 bytes', '54.7 KB', '3.3 MB', '–')
    """
    if size_bytes is None:
        return ABSENT
    if size_bytes < _KIBIBYTE:
        return f"{size_bytes} bytes"
    if size_bytes < _MEBIBYTE:
        return f"{size_bytes / _KIBIBYTE:.1f} KB"
    return f"{size_bytes / _MEBIBYTE:.1f} MB"


def count_text(count: int) -> str:
    """A number with thousands marked; nothing for zero.

    >>> count_text(1234567), count_text(0)
    ('1,234,567', '')
    """
    return f"{count:,}" if count else ""


def decibel_text(sqnr_db: float | None) -> str:
    """A ratio in dB; None is an infinite one, since there was no error.

    >>> decibel_text(31.52), decibel_text(None)
    ('31.5 dB', 'exact')
    """
    return "exact" if sqnr_db is None else f"{sqnr_db:.1f} dB"


def bits_text(bits: float | None) -> str:
    """Room in an accumulator.

    >>> bits_text(9.25), bits_text(None)
    ('9.2 bits', '–')
    """
    return ABSENT if bits is None else f"{bits:.1f} bits"


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape; -1 is a dimension that is free.

    >>> shape_text((-1, 49, 40))
    '?x49x40'
    """
    return "x".join("?" if size < 0 else str(size) for size in shape) or "scalar"


def scale_text(scale: float | None, zero_point: int | None) -> str:
    """Scale and zero point of a tensor.

    >>> scale_text(1 / 255, -128)
    '0.003922 / -128'
    """
    return "" if scale is None else f"{scale:.4g} / {zero_point}"


def mapping_text(facts: object) -> str:
    """A mapping as "key value, key value"; anything else as it is.

    >>> mapping_text({"quantizer": "tensorflow", "rounding": "nearest"})
    'quantizer tensorflow, rounding nearest'
    """
    if not isinstance(facts, Mapping):
        return str(facts)
    return ", ".join(f"{key} {value}" for key, value in facts.items())
