"""How much carbon a kilowatt-hour stands for: only where the user names the grid."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from tfgreen.errors import UsageError
from tfgreen.footprint.amounts import Sentence
from tfgreen.footprint.units import check_not_negative
from tfgreen.records import Record

_TABLE = Path(__file__).with_name("grid.toml")
_SUGGESTIONS = 3
_NICKNAMES = {"uk": "GBR", "england": "GBR", "holland": "NLD"}


class GridFactor(Record):
    """Grams of CO2e for a kWh: the average of a grid, not that of one kWh more.

    region: ISO 3166-1 alpha-3; None where a number was given. year: of the figure, if known.
    """

    grams_per_kwh: float
    region: str | None
    year: int | None
    source: Sentence

    def __str__(self) -> str:
        where = f"of {self.region} in {self.year}" if self.region else self.source
        return f"{self.grams_per_kwh:g} g CO2e/kWh (average intensity, {where})"


def grid_factor(region: str | None = None, grams_per_kwh: float | None = None) -> GridFactor | None:
    """The factor of a country, or of a number; None where neither was named.

    Args:
        region: ISO 3166-1 alpha-3, as "DEU", from the table that tfgreen brings along.
        grams_per_kwh: a figure of your own, in place of the table's.

    Raises:
        UsageError: no such code, no figure for it, both given, or a number that is none.

    >>> grid_factor("DEU").grams_per_kwh, grid_factor("DEU").year
    (380.95, 2023)
    >>> grid_factor() is None
    True
    """
    if region is not None and grams_per_kwh is not None:
        raise UsageError(
            f"Received the region {region} and {grams_per_kwh:g} g/kWh. Give one of the two."
        )
    if grams_per_kwh is not None:
        check_not_negative(grams_per_kwh, f"{grams_per_kwh:g} g/kWh")
        source = "stated by the user"
        return GridFactor(grams_per_kwh=grams_per_kwh, region=None, year=None, source=source)
    return None if region is None else _of_region(region)


def _of_region(region: str) -> GridFactor:
    table = _table()
    names: dict[str, str] = table["names"]
    code = region.strip().upper()
    if code not in names:
        close = ", ".join(f"{one} ({names[one]})" for one in closest(region)) or "none"
        raise UsageError(
            f"'{region}' is no country code of ISO 3166-1 alpha-3, such as DEU. "
            f"The closest: {close}."
        )
    if code not in table["grams_per_kwh"]:
        raise UsageError(
            f"There is no figure for {code} ({names[code]}) in the table of {table['year']}. "
            "Give one of your own in g/kWh, with --grid."
        )
    return GridFactor(
        grams_per_kwh=table["grams_per_kwh"][code],
        region=code,
        year=table["year"],
        source=table["source"],
    )


def closest(region: str) -> list[str]:
    """Codes that may have been meant: of countries that begin so, then codes that look alike.

    >>> closest("GER")[0], closest("Germany")[0], closest("DE")[0], closest("DUE")[0]
    ('DEU', 'DEU', 'DEU', 'DEU')
    """
    names: dict[str, str] = _table()["names"]
    figures = _table()["grams_per_kwh"]
    names_to_codes = {name: code for code, name in names.items()}
    text = region.strip().lower()
    found = [code for code, name in names.items() if text in (code.lower(), name.lower())]
    found += [_NICKNAMES[text]] if text in _NICKNAMES else []
    if len(text) > 2:
        found += [code for code, name in names.items() if name.lower().startswith(text)]
        found += [names_to_codes[name] for name in _alike(text.title(), names_to_codes)]
    found += _alike(text.upper(), figures)
    found += [code for code in names if len(text) == 2 and code.lower().startswith(text)]
    found += _alike(text.upper(), names)
    with_figures_first = sorted(dict.fromkeys(found), key=lambda code: code not in figures)
    return with_figures_first[:_SUGGESTIONS]


def _alike(text: str, known: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(text, list(known), n=_SUGGESTIONS, cutoff=0.6)


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(_TABLE.read_text(encoding="utf-8"))
