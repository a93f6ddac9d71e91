"""Numbers as every room tells them to people."""

from __future__ import annotations

ABSENT = "–"
"""In the place of what nobody knows."""


def share_text(share: float | None, digits: int | None = None, *, signed: bool = False) -> str:
    """A share (0 to 1) in percent.

    digits: behind the point; by default one, and as many as a small share needs for one that is
        not zero. signed: with a + where it is one.

    >>> share_text(0.9844), share_text(0.0003), share_text(1), share_text(0), share_text(None)
    ('98.4 %', '0.03 %', '100 %', '0 %', '–')
    >>> share_text(0.98765, 0), share_text(0.98765, 2), share_text(0.0123, 2, signed=True)
    ('99 %', '98.77 %', '+1.23 %')
    """
    if share is None:
        return ABSENT
    percent, sign = 100 * share, "+" if signed else ""
    if digits is not None:
        return f"{percent:{sign}.{digits}f} %"
    if percent in (0, 100):
        return f"{percent:{sign}.0f} %"
    return f"{percent:{sign}.1f} %" if abs(percent) >= 0.1 else f"{percent:{sign}.1g} %"
