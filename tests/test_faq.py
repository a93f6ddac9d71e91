"""docs/faq.md is what its records say, and the records are whole."""

from __future__ import annotations

import pytest

from benchmarks.faq.distillation import published
from benchmarks.faq.kinds import KINDS
from benchmarks.faq.page import PAGE, page
from benchmarks.faq.records import read
from benchmarks.faq.speed import OPS, TRAINED, UNTRAINED
from benchmarks.pruning_routes import ROUTES, SPARSITIES


def test_the_page_is_what_the_records_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "docs/faq.md is old: run `make docs`"


def test_pruning_has_every_route_at_every_sparsity() -> None:
    rows = read("pruning")["rows"]
    assert [(row["sparsity"], row["route"]) for row in rows] == [
        (sparsity, route) for sparsity in SPARSITIES for route in ROUTES
    ]


def test_speed_has_every_network_on_every_kernel_set() -> None:
    record = read("speed")
    found = [(row["network"], row["kernel_set"]) for row in record["rows"]]
    networks = list(dict.fromkeys(network for network, _ in found))
    assert len(networks) == len(TRAINED) + len(UNTRAINED)
    for position, network in enumerate(networks):
        sets = {kernel_set for name, kernel_set in found if name == network}
        micro = {"micro"} if position < len(TRAINED) else set()
        assert sets == {"xnnpack", "optimized", "reference"} | micro
    assert [row["op"] for row in record["ops"]] == list(OPS)


def test_distillation_has_every_kind() -> None:
    rows = read("distillation")["rows"]
    told = [(row["kind"], row["setting"]) for row in rows]
    others = [(kind.title, setting) for kind in KINDS.values() for setting in kind.settings]
    assert told == [(row["kind"], row["setting"]) for row in published()] + others
    assert rows[: len(published())] == published()


@pytest.mark.parametrize("name", ["pruning", "speed", "distillation"])
def test_intervals_hold_what_they_are_of(name: str) -> None:
    record = read(name)
    for row in [*record["rows"], *record.get("ops", [])]:
        interval = row.get("gain") or row.get("difference") or row["ratio"]
        assert interval["low"] <= interval["mean"] <= interval["high"]
