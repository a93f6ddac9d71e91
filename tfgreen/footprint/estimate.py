"""Energy that was not measured: processor time times a range of watts, a power times a time.

Whatever comes from here is called `modelled`, everywhere that it is shown.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tfgreen.errors import UnknownNameError, UsageError
from tfgreen.flatbuffer import TfliteModel, multiply_accumulates
from tfgreen.footprint.amounts import Amount
from tfgreen.records import Record

DEFAULT_WATTS = "unknown"
LEAVES_OUT = (
    "memory, disks, network, fans and losses of the power supply",
    "what an idle machine draws anyway",
)
_TABLE = Path(__file__).with_name("watts.toml")


class Watts(Record):
    """What one busy hardware thread draws: a range, with where it comes from."""

    name: str
    low: float
    typical: float
    high: float
    what: str
    source: str

    @property
    def amount(self) -> Amount:
        """The three values."""
        return Amount(low=self.low, typical=self.typical, high=self.high)

    def joules(self, cpu_seconds: float) -> Amount:
        """Energy of so much processor time.

        >>> watts_of("unknown").joules(10)
        Amount(low=9.0, typical=40.0, high=91.0)
        """
        return self.amount * cpu_seconds

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g} W a busy thread, typically {self.typical:g}"


def watts_of(given: str | float | Sequence[float] | Watts = DEFAULT_WATTS) -> Watts:
    """A range of watts: a name of the table, one number, or (low, typical, high) of your own.

    Raises:
        UnknownNameError: the table has no such name.
        UsageError: numbers that are no range.

    >>> watts_of((2, 3, 5)).source
    'stated by the user'
    >>> watts_of("2,3,5").typical
    3.0
    """
    if isinstance(given, Watts):
        return given
    if isinstance(given, str):
        table = _table()
        if given in table:
            return table[given]
        if not given[:1].isdigit():
            raise UnknownNameError("range of watts", given, table)
    values = _numbers(given)
    try:
        amount = Amount(low=values[0], typical=values[len(values) // 2], high=values[-1])
    except ValidationError as error:
        raise _no_range(given) from error
    return Watts(
        name="stated", **amount.model_dump(), what="this machine", source="stated by the user"
    )


class Work(Record):
    """What one inference of a file does, whatever the hardware.

    multiply_accumulates: of convolutions, dense layers and matrix products.
    weight_bytes: constants that are read. activation_bytes: tensors that ops read and write.
    """

    multiply_accumulates: int
    weight_bytes: int
    activation_bytes: int

    @property
    def moved_bytes(self) -> int:
        """Bytes between memory and processor if nothing stays in a cache."""
        return self.weight_bytes + self.activation_bytes


def work_of(model: TfliteModel) -> Work:
    """Count one inference of a file, op by op."""
    weights = activations = 0
    for op in model.ops:
        for index in (index for index in (*op.inputs, *op.outputs) if index >= 0):
            tensor = model.tensors[index]
            if tensor.is_constant:
                weights += tensor.size_bytes
            else:
                activations += _activation_bytes(tensor.shape, tensor.dtype)
    return Work(
        multiply_accumulates=sum(multiply_accumulates(model, op) for op in model.ops),
        weight_bytes=weights,
        activation_bytes=activations,
    )


_BITS = {"int4": 4, "bool": 8}


def _activation_bytes(shape: Sequence[int], dtype: str) -> int:
    digits = "".join(letter for letter in dtype if letter.isdigit())
    bits = _BITS.get(dtype, int(digits) if digits else 0)
    return math.prod(shape) * bits // 8


@cache
def _table() -> dict[str, Watts]:
    rows: dict[str, Any] = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    return {name: Watts(name=name, **row) for name, row in rows.items()}


def _numbers(given: str | float | Sequence[float]) -> list[float]:
    if isinstance(given, int | float):
        parts: list[Any] = [given]
    else:
        parts = given.split(",") if isinstance(given, str) else list(given)
    try:
        values = [float(part) for part in parts]
    except (TypeError, ValueError) as error:
        raise _no_range(given) from error
    if len(values) not in (1, 3) or not all(0 < value < math.inf for value in values):
        raise _no_range(given)
    return values


def _no_range(given: object) -> UsageError:
    names = ", ".join(sorted(_table()))
    return UsageError(
        f"Received the watts {given!r}; expected low,typical,high in rising order, all above 0, "
        f"one number, or a name: {names}."
    )
