"""RAPL's counters, from a tree that the tests turn themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.footprint.powercap_tree import PowercapTree, refuse_energy
from tfgreen.footprint import powercap
from tfgreen.footprint.counters import PassedOver
from tfgreen.footprint.powercap import RaplCounter


@pytest.fixture
def tree(tmp_path: Path) -> PowercapTree:
    return PowercapTree(tmp_path / "powercap")


def counter_of(tree: PowercapTree) -> RaplCounter:
    counter = RaplCounter.find(tree.root)
    assert isinstance(counter, RaplCounter)
    return counter


def test_packages_and_their_memory_are_counted_once(tree: PowercapTree) -> None:
    counter = counter_of(tree)
    for folder, joules in (
        ("intel-rapl:0", 100.0),
        ("intel-rapl:0:0", 60.0),
        ("intel-rapl:0:1", 7.5),
        ("intel-rapl:1", 150.0),
        ("intel-rapl-mmio:0", 100.0),
    ):
        tree.spend(joules, folder)
    assert counter.joules() == pytest.approx(107.5, rel=1e-6)


def test_wrap_around_many_times(tree: PowercapTree) -> None:
    """The counter begins one step before its end; 20 steps of 300 J pass 1 kJ six times."""
    counter = counter_of(tree)
    for _ in range(20):
        tree.spend(300.0)
        counter.joules()
    assert counter.joules() == pytest.approx(6000.0, rel=0.01)
    assert counter.longest_gap_seconds == pytest.approx(0.5)  # 1 kJ at 1 kW, halved


def test_two_packages_add_up(tree: PowercapTree) -> None:
    tree.add("intel-rapl:2", "package-1")
    counter = counter_of(tree)
    tree.spend(10.0)
    tree.spend(20.0, "intel-rapl:2")
    assert counter.joules() == pytest.approx(30.0, rel=1e-6)
    assert "package-1" in counter.how


def test_no_tree(tmp_path: Path) -> None:
    found = RaplCounter.find(tmp_path)
    assert isinstance(found, PassedOver)
    assert "virtual machine" in found.reason


@pytest.mark.parametrize("content", ["", "many", "-"])
def test_a_counter_that_is_no_number(tree: PowercapTree, content: str) -> None:
    (tree.root / "intel-rapl:0" / "energy_uj").write_text(content)
    found = RaplCounter.find(tree.root)
    assert isinstance(found, PassedOver)
    assert "cannot be read" in found.reason


def test_a_counter_for_root_only(tree: PowercapTree, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_energy(monkeypatch)
    found = RaplCounter.find(tree.root)
    assert isinstance(found, PassedOver)
    assert "root only" in found.reason and "chmod" in found.reason


def test_memory_that_does_not_answer_is_left_out(tree: PowercapTree) -> None:
    """The package is measured still, and the memory is told to be missing."""
    (tree.root / "intel-rapl:0:1" / "energy_uj").unlink()
    counter = counter_of(tree)
    tree.spend(10.0)
    assert counter.joules() == pytest.approx(10.0, rel=1e-6)
    assert counter.leaves_out[0] == "memory" and "dram" not in counter.how


def test_memory_of_one_package_of_two(tree: PowercapTree) -> None:
    tree.add("intel-rapl:2", "package-1")
    assert counter_of(tree).leaves_out[0] == "memory of some packages"


def test_memory_alone_is_no_processor(tmp_path: Path) -> None:
    PowercapTree(tmp_path).add("intel-rapl:3:0", "dram")
    for name in ("intel-rapl:0", "intel-rapl-mmio:0"):
        (tmp_path / name / "name").write_text("core")
    assert isinstance(RaplCounter.find(tmp_path), PassedOver)


def test_a_counter_that_began_anew_while_the_machine_slept(
    tree: PowercapTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a sleep it stands lower: no turn of the counter, whose range is 1 kJ."""
    slept = 0.0
    monkeypatch.setattr(powercap, "_slept_seconds", lambda: slept)
    (tree.root / "intel-rapl:0" / "energy_uj").write_text("600000000")
    counter = counter_of(tree)
    tree.spend(20.0)
    assert counter.joules() == pytest.approx(20.0)
    slept = 3600.0
    (tree.root / "intel-rapl:0" / "energy_uj").write_text("5000000")
    assert counter.joules() == pytest.approx(25.0)
    tree.spend(998.0)
    assert counter.joules() == pytest.approx(1023.0)


def test_a_range_of_nothing(tree: PowercapTree) -> None:
    (tree.root / "intel-rapl:0" / "max_energy_range_uj").write_text("0")
    assert isinstance(RaplCounter.find(tree.root), PassedOver)
