"""What a model takes in: one record per input, shared by loading, data and conversion."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class InputSpec:
    """One input of a model, without its batch dimension.

    `shape` holds None where a dimension is free; `dtype` is a NumPy dtype name, as "float32".

    >>> InputSpec("image", (32, 32, 3), "float32").is_static
    True
    >>> str(InputSpec("tokens", (None,), "int32"))
    "'tokens' int32 (?,)"
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str

    @property
    def is_static(self) -> bool:
        """Whether every dimension beyond the batch is a number."""
        return None not in self.shape

    def __str__(self) -> str:
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"'{self.name}' {self.dtype} ({sizes}{',' if len(self.shape) == 1 else ''})"
