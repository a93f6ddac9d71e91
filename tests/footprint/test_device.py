"""Power logs of three instruments, and a power times a time."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tfgreen.errors import InvalidDataError, MissingPathError, UsageError
from tfgreen.footprint.amounts import Amount
from tfgreen.footprint.device import from_log, from_power, read_log

PPK2 = "Timestamp(ms),Current(uA),D0-D7\n0,10000,00000000\n1,10000,00000001\n2,20000,00000001\n"
JOULESCOPE = (
    "#time,current,voltage,power,charge,energy\n"
    "0.0,0.010,3.0,0.030,0,0\n0.5,0.010,3.0,0.030,0.005,0.015\n1.0,0.030,3.0,0.090,0.01,0.03\n"
)
OTII = (
    '"Timestamp (s)";"Main current (A)";"Main voltage (V)"\n0;0,01;3\n'.replace("0,01", "0.01")
    + "2;0.01;3\n"
)


def log(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "log.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_power_profiler_kit(tmp_path: Path) -> None:
    """1 ms at 10 mA, then 1 ms rising to 20 mA, at 3 V."""
    found = read_log(log(tmp_path, PPK2), volts=3.0)
    assert found.joules == pytest.approx(1e-3 * 0.030 + 1e-3 * (0.030 + 0.060) / 2)
    assert found.seconds == pytest.approx(2e-3)
    assert found.samples == 3


def test_a_joulescope_tells_its_power(tmp_path: Path) -> None:
    found = read_log(log(tmp_path, JOULESCOPE))
    assert found.joules == pytest.approx(0.5 * 0.030 + 0.5 * (0.030 + 0.090) / 2)


def test_an_otii_tells_current_and_voltage(tmp_path: Path) -> None:
    assert read_log(log(tmp_path, OTII)).joules == pytest.approx(2 * 0.01 * 3)


def test_a_comment_before_the_header_and_a_mark_of_windows(tmp_path: Path) -> None:
    text = "\ufeffexported by somebody\nTime (us),Power (mW)\n0,35\n1000000,35\n\n"
    assert read_log(log(tmp_path, text)).joules == pytest.approx(0.035)


def test_a_cost_is_an_inference_s_share(tmp_path: Path) -> None:
    cost = from_log(log(tmp_path, JOULESCOPE), 10)
    assert cost.joules.typical == pytest.approx(0.0045)
    assert cost.seconds == pytest.approx(0.1)
    assert cost.method == "measured" and "over 10 inferences" in cost.how
    assert any("instrument" in what for what in cost.leaves_out)


def test_a_power_times_a_time_is_modelled() -> None:
    cost = from_power(Amount.exactly(0.035), 0.181)
    assert cost.joules.typical == pytest.approx(6.335e-3)
    assert cost.method == "modelled" and "no bounds were given" in cost.how
    bounded = from_power(Amount(low=0.03, typical=0.035, high=0.05), 0.181)
    assert bounded.joules.high == pytest.approx(0.05 * 0.181)
    assert "35 mW (30 to 50)" in bounded.how and "bounds are those of the power" in bounded.how


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no time"),
        ("a,b\n1,2\n", "names no time"),
        ("time\n1\n", "names no time"),
        ("time (parsec),power (W)\n1,2\n", "names no time"),
        ("time,power\n", "0 samples"),
        ("time,power\n0,1\n", "1 samples"),
        ("time,power\n0,1\n1\n", "lacks a number"),
        ("time,power\n0,1\n1,many\n", "lacks a number"),
        ("time,power\n0,1\n1,nan\n", "lacks a number"),
        ("time,power\n0,1\n1,inf\n", "lacks a number"),
        ("time,power\n1,1\n0,1\n", "time goes back"),
        ("time,power\n0,-1\n1,-1\n", "more energy going in"),
        ("time,power\n0,1\n0,1\n", "more energy going in"),
        ("\x00\x01\x02,\x1b[31m\n", "names no time"),
    ],
)
def test_files_that_are_no_log(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InvalidDataError, match=words):
        read_log(log(tmp_path, text))


def test_a_current_alone_needs_the_supply(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--device-voltage 3.3V"):
        read_log(log(tmp_path, PPK2))


@pytest.mark.parametrize("text", [JOULESCOPE, OTII])
def test_a_stated_supply_beside_the_log_s_own_is_refused(tmp_path: Path, text: str) -> None:
    """It would be ignored, and the figure would say that it was used."""
    with pytest.raises(UsageError, match="itself, and a supply of 3.3 V.*--device-voltage out"):
        read_log(log(tmp_path, text), volts=3.3)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_decimals_with_a_comma(tmp_path: Path, delimiter: str) -> None:
    """More commas than what divides: the header decides."""
    rows = ["Timestamp (s)|Main current (mA)|Main voltage (V)", "0,0|10,5|3,3", "2,0|10,5|3,3"]
    found = read_log(log(tmp_path, "\n".join(rows).replace("|", delimiter)))
    assert found.joules == pytest.approx(2 * 0.0105 * 3.3)
    both = "\n".join([rows[0], "0,0|1.010,5|3,3", rows[2]]).replace("|", delimiter)
    with pytest.raises(InvalidDataError, match="line 2.*lacks a number"):
        read_log(log(tmp_path, both))


def test_columns_that_are_not_needed_may_hold_anything(tmp_path: Path) -> None:
    text = "time,current,voltage,power\n0,nan,,0.5\n2,,x,0.5\n"
    assert read_log(log(tmp_path, text)).joules == pytest.approx(1.0)


def test_a_line_without_a_number_is_named(tmp_path: Path) -> None:
    text = "exported\ntime,power\n0,1\n1,NaN\n2,1\n"
    with pytest.raises(InvalidDataError, match="line 4, '1,NaN'.*Cut such lines out"):
        read_log(log(tmp_path, text))


def test_the_average_power_is_told(tmp_path: Path) -> None:
    """A unit that was read wrongly shows in it."""
    cost = from_log(log(tmp_path, "time (ms),power (mW)\n0,35\n1000,35\n"), 10)
    assert "35 mW on average" in cost.how


def test_paths_and_numbers(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="no power log"):
        read_log(tmp_path / "none.csv")
    with pytest.raises(InvalidDataError, match="cannot be read"):
        read_log(tmp_path)
    with pytest.raises(UsageError, match="expected 1 or more"):
        from_log(log(tmp_path, JOULESCOPE), 0)
    for watts, seconds in ((0.0, 1.0), (1.0, -1.0), (1.0, math.nan), (1.0, math.inf)):
        with pytest.raises(UsageError, match="expected both above 0"):
            from_power(Amount.exactly(watts), seconds)
