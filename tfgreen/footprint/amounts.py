"""An amount that is known within bounds: joules, grams, money."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    model_validator,
)

from tfgreen.records import Record


def _plain(text: str) -> str:
    """Refuse what could steer a terminal."""
    if not text.isprintable():
        raise ValueError("received control characters; expected plain text")
    return text


Sentence = Annotated[str, StringConstraints(max_length=600), AfterValidator(_plain)]
NotNegative = Annotated[float, Field(ge=0)]


class Amount(Record):
    """Low, typical and high, in a unit that the field's name tells; never negative.

    >>> Amount.exactly(2.0) + Amount(low=1, typical=2, high=4)
    Amount(low=3.0, typical=4.0, high=6.0)
    >>> Amount(low=2, typical=1, high=4)
    Traceback (most recent call last):
    ...
    pydantic_core._pydantic_core.ValidationError: ...
    """

    low: float
    typical: float
    high: float

    @model_validator(mode="after")
    def _in_order(self) -> Amount:
        if not 0 <= self.low <= self.typical <= self.high:
            raise ValueError(
                f"received low {self.low}, typical {self.typical}, high {self.high}; expected "
                "0 <= low <= typical <= high"
            )
        return self

    @classmethod
    def exactly(cls, value: float) -> Amount:
        """One value, without bounds of its own."""
        return cls(low=value, typical=value, high=value)

    @classmethod
    def sum(cls, amounts: Iterable[Amount]) -> Amount:
        """All of them; 0 for none. Lows are added to lows, highs to highs: errors may agree."""
        every = list(amounts)
        return cls(
            low=math.fsum(one.low for one in every),
            typical=math.fsum(one.typical for one in every),
            high=math.fsum(one.high for one in every),
        )

    def __add__(self, other: Amount) -> Amount:
        return Amount.sum([self, other])

    def __mul__(self, factor: float) -> Amount:
        return Amount(low=self.low * factor, typical=self.typical * factor, high=self.high * factor)

    @property
    def is_exact(self) -> bool:
        """Whether the bounds fall together."""
        return self.low == self.high
