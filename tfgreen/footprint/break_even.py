"""After how many inferences a compression has paid for itself."""

from __future__ import annotations

from typing import Literal

from tfgreen.footprint.amounts import Amount, NotNegative
from tfgreen.footprint.reading import Method
from tfgreen.footprint.wording import count_text
from tfgreen.records import Record


class BreakEven(Record):
    """Cost over saving.

    basis: "processor seconds" where cost and saving come from one kind of machine: its watts
        cancel; "joules" where they do not.
    method: "measured" if the joules of both sides were; equal watts are a model.
    low, typical, high: inferences. typical is None where nothing is saved, high where it is not
        certain that anything is.
    """

    basis: Literal["processor seconds", "joules"]
    method: Method
    low: NotNegative | None
    typical: NotNegative | None
    high: NotNegative | None

    def sentence(self) -> str:
        """In words.

        >>> break_even(Amount.exactly(100.0), (0.0, 0.1, 0.2), "processor seconds").sentence()
        'after 1,000 inferences (500 or more; it is not certain that anything is saved)'
        """
        if self.typical is None:
            return "never: an inference takes no less"
        if self.high is None:
            return (
                f"after {count_text(self.typical)} inferences ({count_text(self.low or 0)} or "
                "more; it is not certain that anything is saved)"
            )
        return (
            f"after {count_text(self.typical)} inferences ({count_text(self.low or 0)} to "
            f"{count_text(self.high)})"
        )


def break_even(
    cost: Amount,
    saving: tuple[float, float, float],
    basis: Literal["processor seconds", "joules"],
    method: Method = "modelled",
) -> BreakEven:
    """Divide what was spent once by what each inference saves.

    Args:
        cost: of the compression.
        saving: low, typical and high for one inference, in the unit of `cost`; may be negative.
        method: of both.

    >>> found = break_even(Amount(low=90, typical=100, high=110), (0.1, 0.2, 0.3), "joules")
    >>> round(found.low), round(found.typical), round(found.high)
    (300, 500, 1100)
    >>> break_even(Amount.exactly(1), (-2.0, -1.0, -0.5), "joules").typical is None
    True
    """
    least, typical, most = saving
    return BreakEven(
        basis=basis,
        method=method,
        low=cost.low / most if typical > 0 else None,
        typical=cost.typical / typical if typical > 0 else None,
        high=cost.high / least if typical > 0 and least > 0 else None,
    )
