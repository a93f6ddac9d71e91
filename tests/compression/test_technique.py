"""State lives on the wrapped model, reports name each layer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from tfgreen.compression.technique import (
    NO_WEIGHTS,
    LayerDecision,
    TechniqueReport,
    attach_state,
    hand_on_state,
    state_of,
    techniques_of,
)
from tfgreen.errors import UsageError


@dataclass(frozen=True)
class Halving:
    by: int = 2


@dataclass(frozen=True)
class Rounding:
    digits: int = 3


def test_one_technique_serves_many_models() -> None:
    first, second, technique = SimpleNamespace(), SimpleNamespace(), Halving()
    attach_state(first, technique, "a")
    attach_state(second, technique, "b")
    assert state_of(first, technique) == "a"
    assert state_of(second, Halving(by=2)) == "b"


def test_state_of_another_technique_is_refused() -> None:
    wrapped = SimpleNamespace()
    with pytest.raises(UsageError, match="SimpleNamespace was not prepared by this Halving"):
        state_of(wrapped, Halving())
    attach_state(wrapped, Halving(), "a")
    with pytest.raises(UsageError, match="prepare"):
        state_of(wrapped, Halving(by=3))
    with pytest.raises(UsageError, match="Rounding"):
        state_of(wrapped, Rounding())
    with pytest.raises(UsageError, match="NoneType was not prepared"):
        state_of(None, Halving())


def test_state_is_handed_on_to_the_next_model() -> None:
    first, second, third = SimpleNamespace(), SimpleNamespace(), SimpleNamespace()
    attach_state(first, Halving(), "a")
    hand_on_state(first, second)
    attach_state(second, Rounding(), "b")
    assert techniques_of(second) == (Halving(), Rounding())
    assert techniques_of(first) == (Halving(),)
    hand_on_state(second, third, but=Rounding())
    assert techniques_of(third) == (Halving(),)
    assert state_of(third, Halving()) == "a"


def test_report_is_a_table_and_plain_facts() -> None:
    report = TechniqueReport(
        "pruning",
        (
            LayerDecision("encoder/dense", "Dense", "pruned", "", {"sparsity": 0.8}),
            LayerDecision("norm", "BatchNormalization", "skipped", "normalization is exempt"),
            LayerDecision("flat", "Flatten", "skipped", NO_WEIGHTS),
            LayerDecision("soft", "Softmax", "skipped", NO_WEIGHTS),
        ),
        ("one note",),
    )
    text = str(report)
    assert "| encoder/dense | Dense              | pruned  | sparsity 0.8 |" in text
    assert text.endswith("- one note\n- 2 without weights: flat, soft")
    assert "Flatten" not in text
    assert report.of("norm").reason == "normalization is exempt"
    assert [decision.layer for decision in report.with_action("pruned")] == ["encoder/dense"]
    assert len(report.to_facts()["layers"]) == 4
    facts = json.loads(json.dumps(report.to_facts()))
    assert facts["layers"][0]["measures"] == {"sparsity": 0.8}
    with pytest.raises(UsageError, match="no layer 'nor'. It has: encoder/dense, norm, flat, soft"):
        report.of("nor")
