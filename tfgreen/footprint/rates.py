"""From joules and processor time to carbon and money, by what the user states."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tfgreen.errors import UsageError
from tfgreen.footprint.amounts import Amount, NotNegative
from tfgreen.footprint.grid import GridFactor, grid_factor
from tfgreen.footprint.units import (
    check_not_negative,
    check_price,
    parse_grams,
    parse_lifespan,
)
from tfgreen.records import Record

JOULES_PER_KWH = 3.6e6
SECONDS_PER_HOUR = 3600.0
INFERENCES_OF_SCI = 1000


class Embodied(Record):
    """Carbon of making the device, spread over its life by time of use.

    grams: CO2e of the whole device. lifespan_seconds: how long it is used.
    """

    grams: NotNegative
    lifespan_seconds: Annotated[float, Field(gt=0)]

    def of(self, seconds: float) -> float:
        """The share of so much use of the whole device."""
        return self.grams * seconds / self.lifespan_seconds


class Rates(Record):
    """What a kWh stands for.

    grid: None: no carbon is told. price_per_kwh, price_per_cpu_hour: in any currency; None: no
        money is told. pue: power usage effectiveness: energy at the building's meter over that
        of the computer, 1.0 by default. embodied: none by default.
    """

    grid: GridFactor | None = None
    price_per_kwh: NotNegative | None = None
    price_per_cpu_hour: NotNegative | None = None
    pue: Annotated[float, Field(ge=1)] = 1.0
    embodied: Embodied | None = None

    def kwh(self, joules: Amount) -> Amount:
        """At the building's meter."""
        return joules * (self.pue / JOULES_PER_KWH)

    def grams(self, joules: Amount) -> Amount | None:
        """CO2e of running, without what was embodied."""
        return None if self.grid is None else self.kwh(joules) * self.grid.grams_per_kwh

    def money(self, joules: Amount | None, cpu_seconds: float | None) -> Amount | None:
        """By the price of energy, or of processor time; None where neither is known.

        With both prices, processor time is what is paid: its price holds the energy.
        """
        if self.price_per_cpu_hour is not None and cpu_seconds is not None:
            return Amount.exactly(cpu_seconds / SECONDS_PER_HOUR * self.price_per_cpu_hour)
        if self.price_per_kwh is None or joules is None:
            return None
        return self.kwh(joules) * self.price_per_kwh

    def sci(self, joules: Amount, seconds: float | None) -> Sci | None:
        """Software Carbon Intensity of one inference's joules; None without a grid factor."""
        if self.grid is None:
            return None
        energy = self.kwh(joules) * INFERENCES_OF_SCI
        embodied = 0.0
        if self.embodied is not None and seconds is not None:
            embodied = self.embodied.of(seconds) * INFERENCES_OF_SCI
        return Sci(
            energy_kwh=energy,
            intensity_grams_per_kwh=self.grid.grams_per_kwh,
            embodied_grams=embodied,
            grams=energy * self.grid.grams_per_kwh + Amount.exactly(embodied),
        )


class Sci(Record):
    """ISO/IEC 21031: ((E x I) + M) per R, where R is 1,000 inferences.

    energy_kwh: E, with the PUE in it. intensity_grams_per_kwh: I, the grid's average.
    embodied_grams: M; 0 where nothing was stated.
    """

    energy_kwh: Amount
    intensity_grams_per_kwh: NotNegative
    embodied_grams: NotNegative
    grams: Amount
    functional_unit: str = "1,000 inferences"


def make_rates(
    *,
    region: str | None = None,
    grid: float | None = None,
    price_kwh: float | None = None,
    price_cpu_hour: float | None = None,
    pue: float = 1.0,
    embodied: str | float | None = None,
    lifespan: str | float | None = None,
) -> Rates:
    """Check what the user states; nothing that is not stated is assumed, but a PUE of 1.

    Args:
        region: ISO 3166-1 alpha-3 code of the grid. grid: or its g CO2e/kWh.
        price_kwh, price_cpu_hour: prices in one currency.
        pue: 1.0 or more.
        embodied, lifespan: "300kg" of CO2e of the device and the life that it is spread over.

    Raises:
        UsageError: a code, price or number that cannot be; embodied carbon without a life, or
            without the grid factor that a sum of carbon needs.

    >>> make_rates(region="DEU", price_kwh=0.30).grid.region
    'DEU'
    >>> make_rates(price_kwh=-0.3)
    Traceback (most recent call last):
    ...
    tfgreen.errors.UsageError: Received the price -0.3 for a kWh; expected a number that is not ...
    """
    if not pue >= 1:
        raise UsageError(f"Received the PUE {pue:g}; expected 1.0 or more, as 1.2.")
    if (embodied is None) != (lifespan is None):
        raise UsageError(
            "Embodied carbon needs a mass and a life to spread it over. Give both, as "
            "--embodied 300kg --lifespan 4y."
        )
    factor = grid_factor(region, grid)
    if embodied is not None and factor is None:
        raise UsageError(
            "Embodied carbon was given and no grid factor: their sum cannot be told. Name the "
            "grid: --region DEU, or --grid in g CO2e/kWh."
        )
    return Rates(
        grid=factor,
        price_per_kwh=None if price_kwh is None else check_price(price_kwh, "a kWh"),
        price_per_cpu_hour=(
            None if price_cpu_hour is None else check_price(price_cpu_hour, "a processor hour")
        ),
        pue=check_not_negative(pue, f"the PUE {pue:g}"),
        embodied=(
            None
            if embodied is None or lifespan is None
            else Embodied(grams=parse_grams(embodied), lifespan_seconds=parse_lifespan(lifespan))
        ),
    )
