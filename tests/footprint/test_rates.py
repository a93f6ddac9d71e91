"""Carbon, money and SCI by hand; units and codes that cannot be."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any

import pytest

import tfgreen
from tests.tiny_models import int8_classifier
from tfgreen.errors import UsageError
from tfgreen.footprint.amounts import Amount
from tfgreen.footprint.break_even import break_even
from tfgreen.footprint.estimate import watts_of, work_of
from tfgreen.footprint.grid import closest, grid_factor
from tfgreen.footprint.rates import make_rates
from tfgreen.footprint.units import (
    parse_count,
    parse_grams,
    parse_lifespan,
    parse_seconds,
    parse_volts,
    parse_watts,
)

KWH = Amount(low=1.8e6, typical=3.6e6, high=7.2e6)  # half, one and two kWh in joules


def test_carbon_and_money_by_hand() -> None:
    rates = make_rates(grid=400.0, price_kwh=0.30, pue=1.5)
    grams, money = rates.grams(KWH), rates.money(KWH, None)
    assert grams is not None and money is not None
    assert (grams.low, grams.typical, grams.high) == pytest.approx((300.0, 600.0, 1200.0))
    assert money.typical == pytest.approx(0.45)


def test_nothing_is_told_that_nobody_named() -> None:
    rates = make_rates()
    assert rates.grams(KWH) is None
    assert rates.money(KWH, 100.0) is None
    assert rates.sci(KWH, 1.0) is None
    assert (rates.pue, rates.embodied) == (1.0, None)


def test_processor_time_is_what_is_paid_where_it_has_a_price() -> None:
    rates = make_rates(price_kwh=0.30, price_cpu_hour=0.05)
    assert rates.money(KWH, 7200.0) == Amount.exactly(0.10)
    by_energy = rates.money(KWH, None)
    assert by_energy is not None and by_energy.typical == pytest.approx(0.30)


def test_sci_by_hand() -> None:
    """1 mJ an inference: 1,000 are 1 J; a year of a 100 kg device for the 10 ms that each takes."""
    rates = make_rates(grid=360.0, embodied="100kg", lifespan="1y", pue=2.0)
    sci = rates.sci(Amount.exactly(1e-3), 0.010)
    assert sci is not None
    operational = 1.0 * 2.0 / 3.6e6 * 360.0
    embodied = 100e3 * 10.0 / (365.25 * 86400)
    assert sci.embodied_grams == pytest.approx(embodied)
    assert sci.grams.typical == pytest.approx(operational + embodied)
    assert sci.functional_unit == "1,000 inferences"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"region": "GER"}, "no country code .* closest: DEU \\(Germany\\)"),
        ({"region": "DE"}, "closest: DEU"),
        ({"region": "UK"}, "closest: GBR"),
        ({"region": ""}, "no country code"),
        ({"region": "\x1b[31m"}, "no country code"),
        ({"region": "ATA"}, "no figure for ATA \\(Antarctica\\).*--grid"),
        ({"region": "DEU", "grid": 300.0}, "Give one of the two"),
        ({"grid": -1.0}, "not negative"),
        ({"grid": math.nan}, "not negative"),
        ({"grid": math.inf}, "not negative"),
        ({"price_kwh": -0.3}, "price -0.3 for a kWh"),
        ({"price_kwh": math.nan}, "price nan"),
        ({"price_kwh": 1e308}, "price 1e\\+308 for a kWh"),
        ({"grid": 1e308}, "1e\\+308 g/kWh"),
        ({"pue": 1e308}, "PUE 1e\\+308"),
        ({"pue": math.inf}, "PUE inf"),
        ({"embodied": "1e300kg", "lifespan": "4y", "grid": 1.0}, "up to 1e\\+30"),
        ({"embodied": "1kg", "lifespan": "1e-300y", "grid": 1.0}, "more than 0"),
        ({"price_cpu_hour": -1.0}, "price -1 for a processor hour"),
        ({"pue": 0.9}, "PUE 0.9; expected 1.0 or more"),
        ({"pue": math.nan}, "PUE nan"),
        ({"embodied": "300kg"}, "Give both"),
        ({"lifespan": "4y"}, "Give both"),
        ({"embodied": "300kg", "lifespan": "4y"}, "no grid factor.*--region DEU"),
        ({"embodied": "300", "lifespan": "4y", "grid": 1.0}, "expected a number with a unit"),
        ({"embodied": "1kg", "lifespan": "0y", "grid": 1.0}, "more than 0"),
    ],
)
def test_what_cannot_be_is_an_error_and_never_a_default(given: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make_rates(**given)


def test_the_table_of_grids_is_sound() -> None:
    path = Path(tfgreen.__file__).parent / "footprint" / "grid.toml"
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    codes, figures = table["names"], table["grams_per_kwh"]
    assert len(codes) == 249  # ISO 3166-1 has so many
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in codes)
    assert set(figures) <= set(codes)
    assert all(0 < value < 1500 for value in figures.values())
    assert {"DEU", "FRA", "USA", "CHN", "IND", "GBR", "POL", "SWE", "JPN", "BRA"} <= set(figures)
    found = grid_factor("deu")
    assert found is not None and (found.region, found.year) == ("DEU", 2023)
    assert "average intensity" in str(found)


def test_every_code_is_closest_to_itself_and_every_name_to_its_code() -> None:
    path = Path(tfgreen.__file__).parent / "footprint" / "grid.toml"
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    for code in table["grams_per_kwh"]:
        assert closest(code)[0] == code
        assert closest(table["names"][code])[0] == code


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_seconds, "181ms", 0.181),
        (parse_seconds, "2min", 120.0),
        (parse_count, "1e9", 1e9),
        (parse_count, 1000, 1000.0),
        (parse_grams, "0.3t", 300e3),
        (parse_lifespan, "365.25d", 365.25 * 86400),
        (parse_volts, "3.3V", 3.3),
    ],
)
def test_units(parse: Any, text: str, value: float) -> None:
    assert parse(text) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "watts"),
    [("35mW", 0.035), (" 1.5 W ", 1.5), ("120µW", 120e-6), ("120μW", 120e-6), (".5W", 0.5)],
)
def test_powers(text: str, watts: float) -> None:
    found = parse_watts(text)
    assert found.is_exact and found.typical == pytest.approx(watts, rel=1e-12)
    assert parse_watts(f"{text},{text},1kW").high == 1000.0


@pytest.mark.parametrize("text", ["35", "mW", "35MW", "35 mw", "-35mW", "0W", "1e400W", "35mW;", "",
                                  "nanW", "infW", "35m\x00W", "1" * 5000 + "x", float("nan"),
                                  float("inf"), -1.0, 0, "1W,2W", "3W,2W,4W", "1,2,3W",
                                  "1W,,2W"])  # fmt: skip
def test_powers_that_are_none(text: Any) -> None:
    with pytest.raises(UsageError):
        parse_watts(text)


@pytest.mark.parametrize("text", ["1e9ms", "0.5", "1.5", "-3", "0", "many", "1e", "1,000"])
def test_counts_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        parse_count(text)


def test_break_even_bounds() -> None:
    cost = Amount(low=90.0, typical=100.0, high=110.0)
    found = break_even(cost, (0.1, 0.2, 0.3), "joules")
    assert (found.low, found.typical, found.high) == pytest.approx((300.0, 500.0, 1100.0))
    unsure = break_even(cost, (-0.1, 0.2, 0.3), "joules")
    assert unsure.high is None and "not certain" in unsure.sentence()
    never = break_even(cost, (-0.3, -0.2, 0.1), "joules")
    assert never.typical is None and never.sentence().startswith("never")


def test_work_of_a_dense_layer() -> None:
    """A dense layer from 16 to 4 and a softmax, int8, as the test's model builds it."""
    from tfgreen.flatbuffer import TfliteModel

    model = TfliteModel.from_bytes(int8_classifier())
    work = work_of(model)
    sizes = [tensor for tensor in model.tensors if not tensor.is_constant]
    assert work.multiply_accumulates == 16 * 4
    read_and_written = sum(
        math.prod(model.tensors[index].shape)
        for op in model.ops
        for index in (*op.inputs, *op.outputs)
        if index >= 0 and model.tensors[index] in sizes
    )
    assert work.activation_bytes == read_and_written
    assert work.weight_bytes >= 16 * 4
    assert work.moved_bytes == work.weight_bytes + work.activation_bytes


def test_the_watts_table_tells_its_sources() -> None:
    for name in ("unknown", "server", "raspberry-pi-4"):
        watts = watts_of(name)
        assert watts.low < watts.typical < watts.high
        assert watts.source and watts.what
    assert watts_of("1.5").high == 1.5
