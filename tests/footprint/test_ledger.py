"""The ledger: parts and total, kills and restarts, the same stretch twice, hostile files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT
from tests.processes import wait_until
from tfgreen.errors import InvalidDataError, MissingPathError, UsageError
from tfgreen.footprint.amounts import Amount
from tfgreen.footprint.entry import Entry
from tfgreen.footprint.ledger import Ledger
from tfgreen.footprint.meter import Meter
from tfgreen.footprint.reading import Part, Reading

amounts = st.lists(st.floats(0, 1e12), min_size=3, max_size=3).map(
    lambda values: Amount(**dict(zip(("low", "typical", "high"), sorted(values), strict=True)))
)


@st.composite
def ledgers(draw: st.DrawFn) -> Ledger:
    """Up to 12 stretches of a few stages, some inside earlier ones."""
    ledger, known = Ledger(), []
    for number in range(draw(st.integers(0, 12))):
        joules = draw(amounts)
        around = draw(st.sampled_from([None, *known, "f" * 32]))
        entry = entry_of(
            number,
            draw(st.sampled_from(["train", "prune", "qat", "search"])),
            joules,
            cpu_seconds=draw(st.floats(0, 1e6)),
            wall_seconds=draw(st.floats(0, 1e6)),
            within=around,
        )
        known.append(entry.id)
        ledger.add([entry])
    return ledger


def entry_of(
    number: int,
    stage: str,
    joules: Amount,
    *,
    cpu_seconds: float = 1.0,
    wall_seconds: float = 1.0,
    within: str | None = None,
    finished: bool = True,
) -> Entry:
    part = Part(
        hardware="processor", source="model", method="modelled", joules=joules, how="for a test"
    )
    return Entry(
        id=f"{number:032x}",
        stage=stage,
        purpose="training" if stage == "train" else "compression",
        started=f"2026-11-23T10:00:{number:02d}.000+00:00",
        finished=finished,
        reading=Reading(parts=(part,), cpu_seconds=cpu_seconds, wall_seconds=wall_seconds),
        within=within,
    )


@settings(deadline=None, max_examples=50)
@given(ledgers())
def test_parts_add_up_to_the_total(ledger: Ledger) -> None:
    total, stages = ledger.total(), ledger.stages().values()
    for name in ("low", "typical", "high"):
        parts = sum(getattr(stage.joules, name) for stage in stages)
        assert getattr(total.joules, name) == pytest.approx(parts, rel=1e-9, abs=1e-9)
    assert total.cpu_seconds == pytest.approx(sum(one.cpu_seconds for one in stages), rel=1e-9)
    assert total.wall_seconds == pytest.approx(sum(one.wall_seconds for one in stages), rel=1e-9)
    outer = [one for one in ledger.entries if not any(one.within == o.id for o in ledger.entries)]
    assert total.entries == len(outer) == sum(one.entries for one in stages)


@settings(deadline=None, max_examples=50)
@given(ledgers())
def test_purposes_add_up_to_the_total(ledger: Ledger) -> None:
    """Also where a stage of one purpose lies inside one of the other."""
    total = ledger.total()
    purposes = [ledger.total(purpose="training"), ledger.total(purpose="compression")]
    assert total.cpu_seconds == pytest.approx(sum(one.cpu_seconds for one in purposes), rel=1e-9)
    assert total.joules.high == pytest.approx(sum(one.joules.high for one in purposes), rel=1e-9)
    assert total.entries == sum(one.entries for one in purposes)


@settings(deadline=None, max_examples=50)
@given(ledgers(), ledgers())
def test_adding_twice_changes_nothing(one: Ledger, other: Ledger) -> None:
    one.add(other)
    once = one.document
    one.add(other)
    one.add(one)
    assert one.document == once


@settings(deadline=None, max_examples=50)
@given(ledgers())
def test_json_round_trip(ledger: Ledger) -> None:
    assert Ledger.from_json(ledger.to_json()).document == ledger.document


def test_the_later_state_of_a_stretch_is_kept() -> None:
    early = entry_of(1, "qat", Amount.exactly(1), wall_seconds=1, finished=False)
    late = entry_of(1, "qat", Amount.exactly(9), wall_seconds=9)
    for order in ([early, late], [late, early]):
        ledger = Ledger()
        ledger.add(order)
        assert ledger.entries == (late,)


def test_a_stage_inside_a_stage_counts_once() -> None:
    ledger, other = Ledger(), Ledger()
    with ledger.stage("search"):
        with other.stage("qat"):
            time.sleep(0.01)
        sum(range(100_000))
    ledger.add(other)
    search, qat = ledger.entries
    assert qat.within == search.id
    assert ledger.total().cpu_seconds == search.reading.cpu_seconds
    assert ledger.total(stage="qat").cpu_seconds == qat.reading.cpu_seconds
    assert list(ledger.stages()) == ["search"]
    assert "TFGREEN_OPEN_STAGE" not in os.environ


def test_stages_of_threads_that_end_in_any_order_leave_nothing_open() -> None:
    """The first to open ends first: the second is not named as the one around all later ones."""
    ledger = Ledger()
    first, second = ledger.stage("train"), ledger.stage("search")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    with ledger.stage("qat"):
        pass
    second.__exit__(None, None, None)
    assert "TFGREEN_OPEN_STAGE" not in os.environ
    with ledger.stage("prune"):
        pass
    found = {entry.stage: entry for entry in ledger.entries}
    assert found["train"].within is None and found["search"].within == found["train"].id
    assert found["qat"].within == found["search"].id and found["prune"].within is None


def test_a_stage_goes_on_when_its_file_is_damaged_meanwhile(tmp_path: Path) -> None:
    """Looks of the watching thread pass it by; the end tells."""
    path = tmp_path / "kws.json"
    ledger = Ledger(path)
    stretch = ledger.begin("train", meter=Meter("model"), looks=True)
    path.write_text("{")
    stretch._look_quietly()
    with pytest.raises(InvalidDataError, match="is no ledger"):
        stretch.end()
    assert ledger.entries[0].finished and not stretch.meter.is_running


def test_a_ledger_of_a_child_process_knows_the_stage_around_it(tmp_path: Path) -> None:
    script = (
        "import sys; from tfgreen.footprint.ledger import Ledger\n"
        "with Ledger(sys.argv[1]).stage('conversion'): pass"
    )
    ledger = Ledger(tmp_path / "outer.json")
    with ledger.stage("compress"):
        command = [sys.executable, "-c", script, str(tmp_path / "inner.json")]
        subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    inner = Ledger.read(tmp_path / "inner.json")
    assert inner.entries[0].within == ledger.entries[0].id
    total = ledger.total()
    ledger.add(inner)
    assert ledger.total() == total


WORKER = """
import sys, time
from tfgreen.footprint import ledger, stretch
stretch.CHECKPOINT_SECONDS = 0.1
ledger = ledger.Ledger(sys.argv[1])
with ledger.stage("train"):
    end = time.process_time() + float(sys.argv[2])
    while time.process_time() < end:
        pass
"""


def worker(path: Path, cpu_seconds: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WORKER, str(path), str(cpu_seconds)]
    return subprocess.Popen(command, cwd=ROOT)


def test_a_killed_stage_leaves_what_it_had_spent_and_is_not_counted_twice(tmp_path: Path) -> None:
    path = tmp_path / "kws.ledger.json"
    killed = worker(path, 60)
    try:
        assert wait_until(lambda: path.exists() and spent(path) > 0.5, 60)
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    before = spent(path)
    assert worker(path, 0.3).wait(60) == 0
    first, second = Ledger.read(path).entries
    assert (first.finished, second.finished) == (False, True)
    assert first.reading.cpu_seconds == before
    assert 0.3 <= second.reading.cpu_seconds < 3
    total = Ledger.read(path).total()
    assert total.cpu_seconds == pytest.approx(before + second.reading.cpu_seconds)
    resumed = Ledger(path)
    resumed.add(Ledger.read(path))
    assert resumed.total() == total


def spent(path: Path) -> float:
    return Ledger.read(path).total().cpu_seconds


def test_two_processes_keep_one_ledger(tmp_path: Path) -> None:
    path = tmp_path / "kws.ledger.json"
    workers = [worker(path, 0.2) for _ in range(3)]
    assert [one.wait(60) for one in workers] == [0, 0, 0]
    ledger = Ledger.read(path)
    assert len(ledger.entries) == 3
    assert all(entry.finished for entry in ledger.entries)


def test_an_exception_is_entered_too() -> None:
    ledger = Ledger()
    with pytest.raises(KeyError), ledger.stage("prune"):
        raise KeyError
    assert ledger.entries[0].finished


def test_text_tells_the_method_and_the_range() -> None:
    ledger = Ledger()
    with ledger.stage("train", meter=Meter("model")):
        sum(range(1_000_000))
    for line in str(ledger).splitlines():
        assert "modelled" in line and " to " in line


@pytest.mark.parametrize("name", ["", "x" * 61, "train\n", "\x1b[31m", "a;b"])
def test_names_that_no_stage_may_have(name: str) -> None:
    with pytest.raises(UsageError, match="expected a name of up to 60"), Ledger().stage(name):
        pass


def test_a_purpose_that_there_is_not() -> None:
    stage: Any = Ledger().stage
    with pytest.raises(UsageError, match='"training" or "compression"'), stage("a", purpose="fun"):
        pass


def good() -> dict[str, Any]:
    ledger = Ledger()
    ledger.add([entry_of(1, "train", Amount.exactly(1.0))])
    return json.loads(ledger.to_json())


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.update(format="other"),
        lambda d: d.update(surplus=1),
        lambda d: d["entries"][0].update(surplus=1),
        lambda d: d["entries"][0].update(id="../../etc"),
        lambda d: d["entries"][0].update(stage="\x1b[2J"),
        lambda d: d["entries"][0].update(started="\x1b[2J"),
        lambda d: d["entries"][0]["reading"].update(cpu_seconds=-1),
        lambda d: d["entries"][0]["reading"].update(cpu_seconds=1e308),
        lambda d: d["entries"][0]["reading"]["parts"][0]["joules"].update(high=1e308),
        lambda d: d["entries"][0]["reading"].update(leaves_out=["\x1b[2J"]),
        lambda d: d["entries"][0]["reading"]["parts"][0].update(source="trust me"),
        lambda d: d["entries"][0]["reading"]["parts"][0]["joules"].update(low=2.0),
        lambda d: d["entries"][0]["reading"]["parts"][0]["joules"].update(high="NaN"),
    ],
)
def test_damaged_ledgers_are_refused(damage: Any) -> None:
    document = good()
    damage(document)
    with pytest.raises(InvalidDataError, match="is no ledger: at"):
        Ledger.from_json(json.dumps(document))


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '"x"', "[" * 100_000, b"\xff\xfe"])
def test_text_that_is_no_ledger(text: str | bytes) -> None:
    with pytest.raises(InvalidDataError, match="is no ledger"):
        Ledger.from_json(text)


def test_a_ledger_of_a_newer_tfgreen() -> None:
    with pytest.raises(InvalidDataError, match="newer tfgreen"):
        Ledger.from_json(json.dumps(good() | {"schema_version": 2}))


def test_a_chain_of_stages_that_bites_its_tail_ends() -> None:
    ledger = Ledger()
    ledger.add(
        [
            entry_of(1, "qat", Amount.exactly(1), within=f"{2:032x}"),
            entry_of(2, "prune", Amount.exactly(2), within=f"{1:032x}"),
        ]
    )
    assert ledger.total().entries == 0


def test_paths(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="There is no ledger"):
        Ledger.read(tmp_path / "none.json")
    with pytest.raises(InvalidDataError, match="cannot be read"):
        Ledger.read(tmp_path)
    ledger = Ledger(tmp_path / "new" / "kws.json")
    assert not (tmp_path / "new").exists()
    with ledger.stage("train"):
        assert json.loads((tmp_path / "new" / "kws.json").read_text())["entries"]
