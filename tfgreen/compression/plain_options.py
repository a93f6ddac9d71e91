"""Options as they are kept: numbers of Python, and nothing that the caller may change later."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """NumPy's scalars as Python's; a read-only copy of a mapping; anything else as it is.

    >>> plain(np.int64(16)), plain({"head": np.float32(0.5)})["head"]
    (16, 0.5)
    """
    if isinstance(value, Mapping):
        return MappingProxyType({key: plain(each) for key, each in value.items()})
    return value.item() if isinstance(value, np.generic) else value


def as_tuple(value: Any) -> tuple[Any, ...]:
    """Several values as a tuple; a single one as a tuple of it."""
    return tuple(map(plain, value)) if isinstance(value, list | tuple | set) else (value,)


def make_plain(technique: Any) -> None:
    """Let a frozen dataclass keep all of its options plain."""
    for name in technique.__dataclass_fields__:
        object.__setattr__(technique, name, plain(getattr(technique, name)))
