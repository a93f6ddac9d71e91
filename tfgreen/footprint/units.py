"""Quantities as people type them: 35mW, 181ms, 1e9, 300kg, 4y."""

from __future__ import annotations

import re

from tfgreen.errors import UsageError
from tfgreen.footprint.amounts import Amount

_NUMBER = r"[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?"
_QUANTITY = re.compile(rf"\s*({_NUMBER})\s*([A-Za-zµμ]*)\s*")

WATTS = {"W": 1.0, "mW": 1e-3, "uW": 1e-6, "kW": 1e3}
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0, "h": 3600.0}
LIFESPAN = {"y": 365.25 * 86400, "d": 86400.0, "h": 3600.0}
GRAMS = {"g": 1.0, "kg": 1e3, "t": 1e6}
VOLTS = {"V": 1.0, "mV": 1e-3}
AMPERES = {"A": 1.0, "mA": 1e-3, "uA": 1e-6, "nA": 1e-9}
_COUNT = {"": 1.0}
LARGEST = 1e30
"""Of what users state and files tell: sums and products of such numbers are finite still."""


def parse_watts(text: str | float) -> Amount:
    """A power in watts; text needs its unit, a number is taken as watts.

    Three powers with commas are low, typical and high; one has no bounds.

    >>> parse_watts("35mW").typical, parse_watts("30mW,35mW,50mW").high, parse_watts(2.0).low
    (0.035, 0.05, 2.0)
    >>> parse_watts("35")
    Traceback (most recent call last):
    ...
    tfgreen.errors.UsageError: Received the power '35'; expected a number with a unit (W, ...
    """
    parts = text.split(",") if isinstance(text, str) else [text]
    values = [_parse(part, "power", WATTS, "35mW") for part in parts]
    if len(values) not in (1, 3) or values != sorted(values):
        raise UsageError(
            f"Received the power '{text}'; expected one, as 35mW, or a range in rising order, as "
            "30mW,35mW,50mW."
        )
    return Amount(low=values[0], typical=values[len(values) // 2], high=values[-1])


def parse_seconds(text: str | float) -> float:
    """A time in seconds.

    >>> parse_seconds("181ms"), parse_seconds("2min")
    (0.181, 120.0)
    """
    return _parse(text, "time", SECONDS, "181ms")


def parse_lifespan(text: str | float) -> float:
    """A life in seconds; a year has 365.25 days.

    >>> parse_lifespan("4y") / 86400
    1461.0
    """
    return _parse(text, "lifespan", LIFESPAN, "4y")


def parse_grams(text: str | float) -> float:
    """Grams of CO2e.

    >>> parse_grams("300kg")
    300000.0
    """
    return _parse(text, "mass of CO2e", GRAMS, "300kg")


def parse_volts(text: str | float) -> float:
    """A voltage in volts.

    >>> parse_volts("3.3V")
    3.3
    """
    return _parse(text, "voltage", VOLTS, "3.3V")


def parse_count(text: str | float) -> float:
    """A whole number of things, at least 1, also written as 1e9.

    >>> parse_count("1e9")
    1000000000.0
    """
    count = _parse(text, "number of inferences", _COUNT, "1e9")
    if count < 1 or count != int(count):
        raise UsageError(f"Received {text} inferences; expected a whole number, 1 or more.")
    return count


def check_price(value: float, of: str) -> float:
    """A price: a number, not negative.

    >>> check_price(-1, "a kWh")
    Traceback (most recent call last):
    ...
    tfgreen.errors.UsageError: Received the price -1 for a kWh; expected a number that is not ...
    """
    return check_not_negative(value, f"the price {value:g} for {of}")


def check_not_negative(value: float, what: str) -> float:
    """A number from 0 to what can still be reckoned with.

    what: the value and what it is, for the error.
    """
    if not 0 <= value <= LARGEST:
        raise UsageError(
            f"Received {what}; expected a number that is not negative, up to {LARGEST:g}."
        )
    return value


def _parse(text: str | float, what: str, units: dict[str, float], example: str) -> float:
    if isinstance(text, int | float):
        value = float(text)
    else:
        match = _QUANTITY.fullmatch(text)
        unit = match.group(2).replace("µ", "u").replace("μ", "u") if match else ""
        if match is None or unit not in units:
            named = ", ".join(unit for unit in units if unit)
            expected = f"a number with a unit ({named})" if named else "a number without a unit"
            raise UsageError(f"Received the {what} '{text}'; expected {expected}, as {example}.")
        value = float(match.group(1)) * units[unit]
    if not 1 / LARGEST <= value <= LARGEST:
        raise UsageError(
            f"Received the {what} {text}; expected more than 0, up to {LARGEST:g}, as {example}."
        )
    return value
