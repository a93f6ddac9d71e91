"""The original's `sparsity` for models of either Keras."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["keras"]


def __getattr__(name: str) -> Any:
    """Load `keras` on first use: it imports both flavours of Keras."""
    if name != "keras":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return importlib.import_module(f"{__name__}.keras")
