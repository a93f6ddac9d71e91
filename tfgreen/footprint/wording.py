"""Amounts, times and counts as people read them."""

from __future__ import annotations

from tfgreen.footprint.amounts import Amount

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "u"))
_LEAST_PREFIX = (1e-9, "n")
_HOUR_SECONDS, _MINUTE_SECONDS = 3600, 60


def quantity_text(value: float, unit: str) -> str:
    """A value with a prefix that fits, three digits.

    >>> quantity_text(0.006335, "J"), quantity_text(1234.5, "J"), quantity_text(0, "g")
    ('6.33 mJ', '1.23 kJ', '0 g')
    """
    if not value:
        return f"0 {unit}"
    factor, prefix = _prefix(value)
    return f"{_digits(value / factor)} {prefix}{unit}"


def amount_text(amount: Amount, unit: str) -> str:
    """The typical value with its bounds, all in one unit.

    >>> amount_text(Amount(low=0.9, typical=4, high=9.1), "J"), amount_text(Amount.exactly(2), "J")
    ('4 J (0.9 to 9.1)', '2 J')
    """
    if amount.is_exact or not amount.typical:
        return quantity_text(amount.typical, unit)
    factor, prefix = _prefix(amount.typical)
    return _bounded(amount * (1 / factor), f" {prefix}{unit}")


def kwh_text(kwh: Amount) -> str:
    """Energy at the meter in watt-hours.

    >>> kwh_text(Amount.exactly(0.0258)), kwh_text(Amount.exactly(1480.0))
    ('25.8 Wh', '1.48 MWh')
    """
    return amount_text(kwh * 1000, "Wh")


def plain_amount_text(amount: Amount) -> str:
    """Money: no prefix and no unit; the currency is that of the price.

    >>> plain_amount_text(Amount(low=0.01, typical=0.05, high=0.1))
    '0.05 (0.01 to 0.1)'
    """
    return _bounded(amount, "")


def seconds_text(seconds: float) -> str:
    """A time.

    >>> seconds_text(0.0000123), seconds_text(0.181), seconds_text(62.5), seconds_text(7300)
    ('12.3 us', '181 ms', '62.5 s', '2 h 2 min')
    """
    if seconds < _MINUTE_SECONDS * 2:
        return quantity_text(seconds, "s")
    if seconds < _HOUR_SECONDS:
        return f"{seconds / _MINUTE_SECONDS:.3g} min"
    hours, rest = divmod(round(seconds / _MINUTE_SECONDS), _MINUTE_SECONDS)
    return f"{hours:,} h {rest} min"


def count_text(count: float) -> str:
    """A number of inferences: whole below a million, with a power of ten above.

    >>> count_text(1000), count_text(2.5e6), count_text(1e9)
    ('1,000', '2.5 million', '1 billion')
    """
    for factor, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if count >= factor:
            return f"{_digits(count / factor)} {name}"
    return f"{count:,.0f}"


def _bounded(amount: Amount, unit: str) -> str:
    low, typical, high = (_digits(one) for one in (amount.low, amount.typical, amount.high))
    return f"{typical}{unit}" if low == high else f"{typical}{unit} ({low} to {high})"


def _prefix(value: float) -> tuple[float, str]:
    return next((one for one in _PREFIXES if value >= one[0] * 0.9995), _LEAST_PREFIX)


def _digits(value: float) -> str:
    """Three digits, no exponent.

    >>> _digits(0.05), _digits(1234.6), _digits(9.1), _digits(0.00001234)
    ('0.05', '1,235', '9.1', '0.0000123')
    """
    if value >= 1000:
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    if "e" in text:
        text = f"{value:.12f}".rstrip("0")
        lead = len(text) - len(text.lstrip("0."))
        text = text[: lead + 3]
    return text
