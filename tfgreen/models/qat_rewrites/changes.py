"""What a rewrite did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Change:
    """One layer that was rewritten.

    layer: its name in the model that the rewrite was given. pieces: names of the layers that
    stand for it now; none where another layer took over its work.
    """

    layer: str
    what: str
    pieces: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """A model after one rewrite, and the changes."""

    model: Any
    changes: tuple[Change, ...] = ()
