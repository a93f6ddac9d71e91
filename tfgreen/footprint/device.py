"""Energy of one inference on the device itself: from a power log, or a power times a time.

A host's processor time says nothing about a microcontroller, so without one of these the figure
is absent.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfgreen.errors import InvalidDataError, MissingPathError, UsageError
from tfgreen.footprint.amounts import Amount, Sentence
from tfgreen.footprint.reading import Method
from tfgreen.footprint.units import AMPERES, SECONDS, VOLTS, WATTS
from tfgreen.footprint.wording import amount_text, quantity_text
from tfgreen.records import Record

_HEADER_LINES = 20
_DELIMITERS = (",", ";", "\t")
_COLUMNS = {"time": SECONDS, "current": AMPERES, "voltage": VOLTS, "power": WATTS}
_NAMES = {
    "time": r"time(?:stamp)?",
    "current": r"(?:\S+ )*current",
    "voltage": r"(?:\S+ )*voltage",
    "power": r"(?:\S+ )*power",
}


class DeviceCost(Record):
    """One inference on the device.

    seconds: it takes, if that is known. how: where the figure comes from.
    leaves_out: what it does not hold.
    """

    joules: Amount
    seconds: float | None
    method: Method
    how: Sentence
    leaves_out: tuple[Sentence, ...]


@dataclass(frozen=True)
class PowerLog:
    """The integral of a log.

    joules: energy from the first sample to the last. seconds: between them. samples: lines.
    """

    joules: float
    seconds: float
    samples: int


def from_power(watts: Amount, seconds: float, *, latency: str = "stated") -> DeviceCost:
    """A stated power times a latency, stated or estimated by Vela.

    >>> from_power(Amount.exactly(0.035), 0.181).joules.typical
    0.006335
    """
    if not (math.isfinite(seconds) and watts.low > 0 and seconds > 0):
        raise UsageError(f"Received {watts.low} W and {seconds} s; expected both above 0.")
    bounds = "no bounds were given" if watts.is_exact else "the bounds are those of the power"
    return DeviceCost(
        joules=watts * seconds,
        seconds=seconds,
        method="modelled",
        how=(
            f"modelled: the stated power of {amount_text(watts, 'W')} times the {latency} "
            f"latency of {quantity_text(seconds, 's')}; {bounds}"
        ),
        leaves_out=("waiting between inferences, sensors and radio, unless the power holds them",),
    )


def from_log(path: str | Path, inferences: float, *, volts: float | None = None) -> DeviceCost:
    """The energy of a power log over the number of inferences in it.

    Args:
        path: CSV of a Power Profiler Kit II, a Joulescope or an Otii: see `read_log`.
        inferences: that ran while it was recorded.
        volts: the supply, for logs of current alone.

    Raises:
        MissingPathError, InvalidDataError: the file. UsageError: the numbers.
    """
    log = read_log(path, volts=volts)
    if inferences < 1:
        raise UsageError(f"Received {inferences} inferences in the log; expected 1 or more.")
    supply = "" if volts is None else f" at a stated {volts:g} V"
    return DeviceCost(
        joules=Amount.exactly(log.joules / inferences),
        seconds=log.seconds / inferences,
        method="measured",
        how=(
            f"measured: {quantity_text(log.joules, 'J')} in {quantity_text(log.seconds, 's')} of "
            f"{Path(path).name!a} ({log.samples:,} samples{supply}, "
            f"{quantity_text(log.joules / log.seconds, 'W')} on average), over "
            f"{inferences:,.0f} inferences"
        )[:600],
        leaves_out=("the accuracy of the instrument; waiting inside of the log is in",),
    )


def read_log(path: str | Path, *, volts: float | None = None) -> PowerLog:
    """Integrate a power log by trapezoids.

    The header names the columns: a time, and a power, or a current with a voltage (or with `volts`
    for the supply), each with its unit in brackets; without brackets they are s, A, V and W.
    So do `Timestamp(ms),Current(uA),D0-D7` of the Power Profiler Kit II,
    `#time,current,voltage,power,charge,energy` of Joulescope, and
    `Timestamp (s),Main current (A),Main voltage (V)` of Otii. Commas, semicolons and tabs divide;
    between semicolons or tabs, decimals may have a comma.

    Raises:
        MissingPathError: there is no such file.
        InvalidDataError: no such columns, no numbers, time that does not rise.
        UsageError: a current without a voltage, or `volts` for a log that holds its own.
    """
    place = Path(path)
    try:
        with place.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            rows = csv.reader(stream, delimiter=_delimiter(place))
            columns = _needed(_header(rows, place), volts, place)
            return _integral(_samples(rows, columns, volts, place), place)
    except FileNotFoundError as error:
        raise MissingPathError(f"There is no power log {path}.") from error
    except (OSError, csv.Error) as error:
        raise InvalidDataError(f"The power log {path} cannot be read: {error}.") from error


def _delimiter(place: Path) -> str:
    """The sign that divides a line into a header; a comma where none does."""
    with place.open(encoding="utf-8-sig", errors="replace") as stream:
        lines = stream.read(_HEADER_LINES * 1000).splitlines()[:_HEADER_LINES]
    for delimiter in _DELIMITERS:
        if any(map(_columns, csv.reader(lines, delimiter=delimiter))):
            return delimiter
    return _DELIMITERS[0]


def _header(rows: Iterator[list[str]], place: Path) -> dict[str, tuple[int, float]]:
    """Column and factor of each quantity, from the first line that names a time."""
    for _, row in zip(range(_HEADER_LINES), rows, strict=False):
        columns = _columns(row)
        if columns:
            return columns
    raise InvalidDataError(
        f"{place} is no power log: its header names no time with a current or a power, as in "
        "Timestamp(ms),Current(uA)."
    )


def _columns(row: Sequence[str]) -> dict[str, tuple[int, float]]:
    """Column and factor of each quantity; empty for a line that is no header."""
    columns: dict[str, tuple[int, float]] = {}
    for index, title in enumerate(row):
        found = _quantity(title)
        if found is not None and found[0] not in columns:
            columns[found[0]] = (index, found[1])
    is_header = "time" in columns and columns.keys() & {"current", "power"}
    return columns if is_header else {}


def _needed(
    columns: dict[str, tuple[int, float]], volts: float | None, place: Path
) -> dict[str, tuple[int, float]]:
    """The columns that energy is made of: a power, or a current with its voltage."""
    known = columns.keys() & {"power", "voltage"}
    if known and volts is not None:
        raise UsageError(
            f"{place} tells its {' and its '.join(sorted(known))} itself, and a supply of "
            f"{volts:g} V was stated too. Leave --device-voltage out."
        )
    if not known and volts is None:
        raise UsageError(
            f"{place} holds a current and no voltage. State the supply: --device-voltage 3.3V."
        )
    wanted = ("time", "power") if "power" in columns else ("time", "current", "voltage")
    return {name: column for name, column in columns.items() if name in wanted}


def _quantity(title: str) -> tuple[str, float] | None:
    """What a column holds, and the factor to its base unit.

    >>> _quantity("Current(uA)"), _quantity("#time"), _quantity("Main voltage (V)"), _quantity("D0")
    (('current', 1e-06), ('time', 1.0), ('voltage', 1.0), None)
    """
    match = re.fullmatch(r"#?\s*([^(\[]*?)\s*(?:[(\[]\s*(\w+)\s*[)\]])?\s*", title.strip()[:80])
    if match is None:
        return None
    name, unit = match.group(1).lower(), match.group(2)
    for quantity, pattern in _NAMES.items():
        if re.fullmatch(pattern, name):
            units = _COLUMNS[quantity]
            wanted = None if unit is None else unit.replace("µ", "u").replace("μ", "u")
            if wanted is None:
                return quantity, 1.0
            return (quantity, units[wanted]) if wanted in units else None
    return None


def _samples(
    rows: Any, columns: Mapping[str, tuple[int, float]], volts: float | None, place: Path
) -> Iterator[tuple[float, float]]:
    """Seconds and watts, line by line, of a csv.reader behind its header."""
    has_comma = rows.dialect.delimiter != ","
    for row in rows:
        if not any(field.strip() for field in row):
            continue
        try:
            values = {
                name: _number(row[index], has_comma=has_comma) * factor
                for name, (index, factor) in columns.items()
            }
        except (IndexError, ValueError) as error:
            shown = rows.dialect.delimiter.join(row)[:60]
            raise InvalidDataError(
                f"{place}: line {rows.line_num}, {shown!a}, lacks a number where one should be. "
                "Cut such lines out, or record again."
            ) from error
        if "power" in values:
            watts = values["power"]
        else:
            watts = values["current"] * values.get("voltage", volts or 0.0)
        yield values["time"], watts


def _number(text: str, *, has_comma: bool) -> float:
    value = float(text.replace(",", ".") if has_comma else text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _integral(samples: Iterator[tuple[float, float]], place: Path) -> PowerLog:
    count, joules, begin, last = 0, 0.0, 0.0, (0.0, 0.0)
    for seconds, watts in samples:
        if count == 0:
            begin = seconds
        elif seconds < last[0]:
            raise InvalidDataError(
                f"{place}: time goes back from {last[0]:g} s to {seconds:g} s. Give one recording."
            )
        else:
            joules += (seconds - last[0]) * (watts + last[1]) / 2
        count, last = count + 1, (seconds, watts)
    if count < 2 or joules <= 0:
        raise InvalidDataError(
            f"{place} holds {count} samples and {joules:g} J; expected at least two, and more "
            "energy going in than out."
        )
    return PowerLog(joules, last[0] - begin, count)
