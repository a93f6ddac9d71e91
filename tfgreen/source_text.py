"""From names and numbers of a model to identifiers, literals and comments of a language."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol

import numpy as np


class NamedTensor(Protocol):
    """A tensor with its name, dtype and shape."""

    @property
    def name(self) -> str:
        """As the model has it: any text."""

    @property
    def dtype(self) -> str:
        """As "int8"."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The batch included."""


def camel_names(tensors: Iterable[NamedTensor]) -> list[str]:
    """One identifier in CamelCase for each tensor, no two alike whatever their case.

    >>> from tfgreen.preprocess import BoundaryTensor
    >>> camel_names([BoundaryTensor(name=n, shape=(1,), dtype="int8") for n in ("a:0", "a_0", "")])
    ['A0', 'A0Tensor1', 'Tensor2']
    """
    names: list[str] = []
    taken: set[str] = set()
    for index, tensor in enumerate(tensors):
        parts = re.findall(r"[A-Za-z0-9]+", tensor.name)
        name = "".join(part[0].upper() + part[1:] for part in parts)
        if not name or name[0].isdigit():
            name = f"Tensor{index}{name}"
        name = f"{name}Tensor{index}" if name.lower() in taken else name
        names.append(name)
        taken.add(name.lower())
    return names


def constant_name(camel: str) -> str:
    """The same identifier for constants.

    >>> constant_name("ImageLeft")
    'IMAGE_LEFT'
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", camel).upper()


def float32_literal(value: float) -> str:
    """The shortest decimal that reads back as the same float32; always with a point or exponent.

    >>> float32_literal(1 / 255), float32_literal(1.0)
    ('0.003921569', '1.0')
    """
    return repr(float(str(np.float32(value))))


def one_line(text: str) -> str:
    r"""Text from a model file, made harmless inside a line or block comment.

    >>> one_line('x */ \n y')
    'x ? ? y'
    """
    return re.sub(r"[^ -~]|\*/|/\*|\\", "?", text)


def shape_text(tensor: NamedTensor) -> str:
    """The tensor for people: its dtype and shape."""
    return f"{tensor.dtype} [{', '.join(map(str, tensor.shape))}]"
