"""Values with their bounds as people read them, and what became of them."""

from __future__ import annotations

from tfgreen.footprint.amounts import Amount
from tfgreen.footprint.wording import amount_text, plain_amount_text, seconds_text
from tfgreen.recipe.record import FileFigures
from tfgreen.reporting.page.record import Figure, LayerLine, Unit, Value
from tfgreen.reporting.summary import metric_name, metric_value
from tfgreen.reporting.wording import bytes_text
from tfgreen.wording import ABSENT, share_text

_PREFIXED = {"joules": "J", "grams": "g", "seconds": "s"}
_NOTHING = 5e-7
_MANY_POINTS = 10
_COMPARATIVES = {"seconds": ("faster", "slower"), "bytes": ("smaller", "larger")}


def value_text(value: Value | None, unit: Unit) -> str:
    """A value in its unit, its bounds behind it.

    >>> value_text(Value(typical=4, low=0.9, high=9.1), "joules")
    '4 J (0.9 to 9.1)'
    >>> value_text(Value.exactly(45664), "bytes"), value_text(None, "share")
    ('44.6 KB', '–')
    """
    if value is None:
        return ABSENT
    number = value.typical
    if unit == "share":
        return share_text(number)
    if unit == "bytes":
        return bytes_text(round(number))
    if unit == "count":
        return f"{number:,.0f}"
    if unit == "dB":
        return f"{number:.1f} dB"
    if unit == "error":
        return f"{number:.4g}"
    if unit == "ratio":
        bounds = "" if value.is_exact else f" ({value.low:.2f} to {value.high:.2f})"
        return f"{number:.2f}{bounds}"
    amount = Amount(low=value.low, typical=number, high=value.high)
    if unit == "money":
        return plain_amount_text(amount)
    return (
        seconds_text(number)
        if unit == "seconds" and value.is_exact
        else amount_text(amount, _PREFIXED[unit])
    )


def file_text(file: FileFigures) -> str:
    """What a model is worth as a file, in one line.

    >>> from tfgreen.recipe.record import FileFigures
    >>> file_text(FileFigures(sha256="4" * 64, file_bytes=3_000, gzip_bytes=2_000,
    ...                       metric="accuracy", value=0.9, float_value=0.925))
    '2.9 KB, 2.0 KB with gzip; accuracy 90.0 % (in float 92.5 %)'
    """
    text = f"{bytes_text(file.file_bytes)}, {bytes_text(file.gzip_bytes)} with gzip"
    if file.metric is not None and file.value is not None:
        name = metric_name(file.metric, file.output)
        text += f"; {name} {metric_value(file.metric, file.value)}"
        if file.float_value is not None:
            text += f" (in float {metric_value(file.metric, file.float_value)})"
    return text


def change_text(figure: Figure) -> str:
    """What became of a figure: points of a share, a factor of anything else; else its limit.

    >>> half = Figure(key="f", label="File", unit="bytes", better="less",
    ...               before=Value.exactly(200), after=Value.exactly(100))
    >>> change_text(half)
    '2.00× smaller'
    """
    if figure.before is None or figure.after is None:
        return limit_text(figure)
    before, after = figure.before.typical, figure.after.typical
    if figure.unit == "share":
        return points_text(after - before)
    if abs(after - before) <= _NOTHING * max(abs(before), abs(after)):
        return "the same"
    if before <= 0 or after <= 0:
        return ""
    if not _is_told_apart(figure):
        return "not told apart"
    less, more = _COMPARATIVES.get(figure.unit, ("less", "more"))
    return f"{before / after:.2f}× {less}" if after < before else f"{after / before:.2f}× {more}"


def _is_told_apart(figure: Figure) -> bool:
    """Whether the bounds of the ratio, or else of the two values, leave no doubt of a change."""
    before, after, ratio = figure.before, figure.after, figure.ratio
    if ratio is not None:
        return not ratio.low <= 1 <= ratio.high
    if before is None or after is None:
        return False
    return after.high < before.low or before.high < after.low


def limit_text(figure: Figure) -> str:
    """What a figure is held against; nothing where it has no limit.

    >>> limit_text(Figure(key="s", label="SQNR", unit="dB", better="more", limit=10))
    'at least 10.0 dB'
    """
    if figure.limit is None:
        return ""
    bound = value_text(Value.exactly(figure.limit), figure.unit)
    return f"{'at least' if figure.better == 'more' else 'at most'} {bound}"


def points_text(difference: float) -> str:
    """A difference of two shares, in percentage points with a sign.

    >>> points_text(-0.0123), points_text(0)
    ('−1.23 points', '±0 points')
    """
    points = 100 * difference
    if abs(points) < 5e-3:
        return "±0 points"
    digits = f"{abs(points):.1f}" if abs(points) >= _MANY_POINTS else f"{abs(points):.2f}"
    return f"{'+' if points > 0 else '−'}{digits} points"


def range_text(layer: LayerLine) -> str:
    """The real numbers that a tensor can hold."""
    if layer.range_low is None or layer.range_high is None:
        return ABSENT
    return f"{layer.range_low:.3g} … {layer.range_high:.3g}".replace("-", "−")


def outcome_of(figure: Figure) -> str:
    """ "gain", "loss" or "even": for colours, which never stand alone."""
    if _is_beyond_limit(figure):
        return "loss"
    if figure.before is None or figure.after is None:
        return "even"
    change = figure.after.typical - figure.before.typical
    if abs(change) <= _NOTHING * abs(figure.before.typical) or not _is_told_apart(figure):
        return "even"
    return "gain" if (change > 0) == (figure.better == "more") else "loss"


def _is_beyond_limit(figure: Figure) -> bool:
    if figure.limit is None or figure.after is None:
        return False
    if figure.better == "more":
        return figure.after.typical < figure.limit
    return figure.after.typical > figure.limit
